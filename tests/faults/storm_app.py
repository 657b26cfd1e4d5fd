"""The app of the storms: every body tells a log that no store knows of what it did, and under which claim."""

from __future__ import annotations

import os
import time

from pynenc import Pynenc
from pynenc.context import current_run

app = Pynenc(app_id="storm")


def log(event: str, value: int = 0) -> None:
    """Append one line with one write, which the kernel does not interleave with others."""
    run = current_run.get()
    assert run is not None
    claim = run.claim
    place = f"{claim.invocation_id.hex()} {claim.session} {claim.epoch} {claim.attempt} {os.getpid()}"
    descriptor = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{event} {place} {time.time_ns() // 1000} {value}\n".encode())
    finally:
        os.close(descriptor)


@app.task
def leaf(number: int, pause_s: float) -> int:
    log("start")
    time.sleep(pause_s)
    log("end", number)
    return number


@app.task
def parent(number: int, pause_s: float) -> int:
    log("start")
    total = sum(leaf.parallelize([(number * 10 + i, pause_s) for i in range(3)]).results)
    log("end", total)
    return total


def expected(number: int) -> int:
    """Return what `parent(number, …)` results in."""
    return sum(number * 10 + i for i in range(3))
