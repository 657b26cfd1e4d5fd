"""The app of the storms: every body tells a log that no store knows of what it did, and under which claim."""

from __future__ import annotations

import time

from pynenc import Pynenc
from tests.faults.execution_log import log

app = Pynenc(app_id="storm")


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
