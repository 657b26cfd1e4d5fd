"""The app of the kill tests. Each body writes what it does to a log that no store knows of."""

from __future__ import annotations

import os
import time

from pynenc import Pynenc, current_invocation

app = Pynenc(app_id="faults")


def log(event: str) -> None:
    """Append one line with one write, which the kernel does not interleave with others."""
    invocation = current_invocation()
    line = f"{event} {invocation.invocation_id} {os.getpid()}\n"
    descriptor = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@app.task
def leaf(number: int, pause_s: float) -> int:
    log("start")
    time.sleep(pause_s)
    log("end")
    return number


@app.task
def parent(number: int, pause_s: float) -> int:
    log("start")
    total = sum(leaf.parallelize([(number * 10 + i, pause_s) for i in range(3)]).results)
    log("end")
    return total
