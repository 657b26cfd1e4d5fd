"""The app of the soak: every kind of task there is, each telling a log outside the store what it does.

Tasks that take their process down or hang in it go to the queue `rough`, which only runners with worker processes
serve. A body that must end differently the second time finds a file that the first one left.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pynenc import Pynenc, current_invocation
from pynenc.errors import Retry
from tests.faults.execution_log import log

app = Pynenc(app_id="soak")


def _first_time(name: str) -> bool:
    marker = Path(os.environ["SOAK_MARKERS"]) / name
    if marker.exists():
        return False
    marker.touch()
    return True


@app.task
def leaf(number: int) -> int:
    log("start")
    log("end", number)
    return number


@app.task
def slow(number: int) -> int:
    log("start")
    time.sleep(0.3)
    log("end", number)
    return number


@app.task
async def gentle(number: int) -> int:
    log("start")
    await asyncio.sleep(0.02)
    log("end", number)
    return number


@app.task
def tree(number: int) -> int:
    log("start")
    total = sum(leaf.parallelize([(number,)] * 3).results)
    log("end", total)
    return total


@app.task
async def gentle_tree(number: int) -> int:
    log("start")
    invocations = [await gentle.acall(number) for _ in range(3)]
    total = sum([await one for one in invocations])
    log("end", total)
    return total


@app.task
def chain(number: int, depth: int = 6) -> int:
    log("start")
    value = number if depth == 0 else chain(number, depth - 1).result
    log("end", value)
    return value


@app.task(max_retries=5, retry_delay=0.05)
def flaky(number: int) -> int:
    log("start")
    if current_invocation().num_retries < 2:
        raise Retry("not yet")
    log("end", number)
    return number


@app.task
def noted(number: int) -> int:
    log("start")
    for done in range(20):
        current_invocation().progress(done, 20, "working")
    log("end", number)
    return number


@app.task(queue="rough")
def dies(number: int) -> int:
    log("start")
    if _first_time(f"dies-{current_invocation().invocation_id}"):
        os._exit(1)
    log("end", number)
    return number


@app.task(queue="rough", timeout=0.3)
def hangs(number: int) -> int:
    log("start")
    time.sleep(600)
    return number


@app.task(queue="rough")
def hogs(number: int) -> int:
    log("start")
    taken = []
    while True:
        taken.append(b"x" * 2**22)
        time.sleep(0.002)


@app.task(queue="rough")
def leaks(number: int) -> int:
    """Leave something behind in its process, which is replaced for it in the end."""
    log("start")
    _LEAKED.append(b"x" * 2**20)
    log("end", number)
    return number


_LEAKED: list[bytes] = []


@app.task
def endless(number: int) -> int:
    """Go on until somebody cancels it."""
    log("start")
    while True:
        time.sleep(0.01)
