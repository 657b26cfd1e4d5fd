"""An app whose middleware writes what it is told to the file that HOOK_FILE names, from any process."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

from pynenc import Pynenc
from pynenc.middleware import Middleware, RunEvent, SettleEvent, SubmitEvent


class Scribe(Middleware):
    """Writes a line for each run and each end."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _write(self, line: str) -> None:
        with open(os.environ["HOOK_FILE"], "a", encoding="utf-8") as file:
            file.write(f"{self.name} {line}\n")

    def before_run(self, run: RunEvent) -> None:
        where = "main" if threading.current_thread() is threading.main_thread() else "thread"
        run.state[self] = threading.get_ident()
        self._write(f"before {run.task_id.rpartition('.')[2]} {where} {os.getpid()}")

    def after_run(self, run: RunEvent) -> None:
        same = run.state[self] == threading.get_ident()
        error = type(run.error).__name__
        self._write(f"after {run.task_id.rpartition('.')[2]} {run.ending} {error} {'same' if same else 'other'}")

    def after_settle(self, settle: SettleEvent) -> None:
        for end in settle.ends:
            self._write(f"settled {end.run.task_id.rpartition('.')[2]} {end.ending} {end.accepted}")

    def flush(self) -> None:
        self._write(f"flushed {os.getpid()}")


class Slow(Middleware):
    """Takes its time after a run, where HOOK_SLOW names a file to write first."""

    def after_run(self, run: RunEvent) -> None:
        marker = os.environ.get("HOOK_SLOW")
        if marker and run.task_id.endswith("quick"):
            Path(marker).touch()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                pass

    def before_submit(self, submit: SubmitEvent) -> None:
        submit.calls[0].carry("shop.place", str(os.getpid()))


app = Pynenc(app_id="hooked", middleware=[Scribe("outer"), Slow(), Scribe("inner")])


@app.task
def quick() -> str:
    return "done"


@app.task
def announce_and_spin(marker: str) -> None:
    Path(marker).touch()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass


@app.task(timeout=0.3)
def spin() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass


@app.task(timeout=0.3)
async def doze() -> None:
    await asyncio.sleep(60)
