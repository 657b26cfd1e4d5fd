"""The app of the tests of worker processes: importable by them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from pynenc import Pynenc
from pynenc.errors import TaskMemoryExceeded, TaskTimeout

app = Pynenc(app_id="processes")


@app.task
def echo(value: int) -> int:
    return value


@app.task
def note_down(log: str, word: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{word}\n")


@app.task
def pid() -> int:
    return os.getpid()


def _announce(announced: Path) -> None:
    part = announced.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(announced)


@app.task
def announce_and_wait_for(announced: str, awaited: str) -> int:
    """Write its process id to one file, end when the other exists."""
    _announce(Path(announced))
    while not Path(awaited).exists():
        time.sleep(0.005)
    return os.getpid()


@app.task
def meet(room: str, party: int) -> int:
    """End when so many bodies are in the room, each in a process of its own; return the process."""
    Path(room).mkdir(exist_ok=True)
    Path(room, str(os.getpid())).touch()
    while len(list(Path(room).iterdir())) < party:
        time.sleep(0.005)
    return os.getpid()


@app.task
def leave_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return "second run"


@app.task
def waits_for_a_leaver(marker: str) -> str:
    return leave_once(marker).result + ", seen"


@app.task
def fork_and_return_twice() -> str:
    return "child" if os.fork() == 0 else "parent"


@app.task
def leave_a_child_and_die_once(marker: str) -> str:
    """Die while a child that inherited everything lives on."""
    if Path(marker).exists():
        return "second run"
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    Path(marker).write_text(str(child))
    os._exit(1)


@app.task
def submit_in_a_child() -> int:
    """Submit from a process that a body forked; return its exit code."""
    child = os.fork()
    if child == 0:
        echo(7)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@app.task
def open_descriptors_of_a_program() -> list[str]:
    listing = subprocess.run(
        [sys.executable, "-c", "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in (3, 4, 5, 6) "
         "if os.path.exists(f'/proc/self/fd/{n}')), sep='\\n')"],
        capture_output=True, text=True, check=True, close_fds=False,
    )  # fmt: skip
    return [line for line in listing.stdout.splitlines() if line.startswith(("socket", "/memfd"))]


@app.task(timeout=0.2)
def sleep_in_c(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@app.task(cpu_limit=0.2)
def compute_for_ever() -> None:
    number = 1
    while True:
        number = number * 3 % 1_000_003


@app.task(cpu_limit=0.2)
def compute_in_c() -> int:
    """Hold the interpreter in one call that no exception reaches."""
    return len(str(7**12_000_000))


@app.task(cpu_limit=5)
def sleep_within_cpu_limit(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@app.task
def grow(mebibytes: int) -> None:
    """Take memory and keep it for ever."""
    logging.getLogger("hog").warning("about to take %d MiB", mebibytes)
    hog = []
    for _ in range(mebibytes):
        hog.append(b"x" * 2**20)
        time.sleep(0.001)
    threading.Event().wait()


@app.task
def wait_then_grow(mebibytes: int) -> None:
    """Take memory after a while in which nothing ran here."""
    echo.options(delay=0.5)(1).get()
    grow.func(mebibytes)


@app.task
def hold_and_wait(mebibytes: int, childs_mebibytes: int) -> None:
    """Wait for a child that takes more, with memory in hand."""
    held = b"x" * mebibytes * 2**20
    grow(childs_mebibytes).get()
    del held


@app.task(timeout=0.2)
def clean_up_for_ever() -> None:
    """When its time is over wait for a child, then sleep where no exception reaches it."""
    try:
        loop_for_ever.func()
    except TaskTimeout:
        # The first attempt to wait is interrupted as well.
        with contextlib.suppress(TaskTimeout):
            echo(1).get()
        echo(2).get()
        time.sleep(600)


@app.task(cpu_limit=0.2)
def wait_then_compute() -> None:
    echo.options(delay=0.5)(1).get()
    compute_for_ever.func()


@app.task(max_retries=1, retry_for=(TaskMemoryExceeded,))
def grow_again(mebibytes: int) -> None:
    grow.func(mebibytes)


KEPT: list[bytes] = []


@app.task
def leak(mebibytes: int) -> int:
    """Take memory that nothing gives back; return the process that did."""
    KEPT.append(b"x" * mebibytes * 2**20)
    return os.getpid()


@app.task
def die_in_c() -> None:
    logging.getLogger("victim").warning("these were my last words")
    ctypes.string_at(0)


@app.task(timeout=0.2)
def hang_in_c(seconds: float) -> None:
    logging.getLogger("victim").warning("going to hang")
    time.sleep(seconds)


@app.task(timeout=0.2)
def loop_for_ever() -> None:
    number = 1
    while True:
        number = number * 3 % 1_000_003


@app.task
async def announce_and_await(announced: str, awaited: str) -> int:
    """As `announce_and_wait_for`, as a coroutine."""
    _announce(Path(announced))
    while not await asyncio.to_thread(Path(awaited).exists):  # noqa: ASYNC110 - nobody in this process can say so
        await asyncio.sleep(0.005)
    return os.getpid()


@app.task
def leave() -> None:
    os._exit(3)
