"""The app of the tests of deploys: every body tells a log outside the store what it does, and under which claim."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pynenc import Pynenc
from pynenc.context import current_run
from pynenc.runners.health_server import Page
from tests.faults.execution_log import log

app = Pynenc(app_id=os.environ.get("DEPLOY_APP_ID", "deploys"))
app.runner.pages["/waiting"] = lambda: Page(str(app.orchestrator.count_invocations()).encode())


@app.task
def short(number: int) -> int:
    log("start")
    log("end", number)
    return number


@app.task
def long(number: int, seconds: float) -> int:
    log("start")
    time.sleep(seconds)
    log("end", number)
    return number


@app.task
async def doze(number: int, seconds: float) -> int:
    log("start")
    await asyncio.sleep(seconds)
    log("end", number)
    return number


@app.task(max_retries=1, retry_for=(OSError,), retry_delay=0.05, retry_jitter="none")
def flaky(number: int) -> int:
    """Fail in the first attempt, whoever runs it."""
    log("start")
    run = current_run.get()
    assert run is not None
    if run.claim.attempt == 1:
        raise OSError("not yet")
    log("end", number)
    return number


@app.task
def parent(number: int, seconds: float) -> int:
    log("start")
    first, second, third = short(number), long(number, seconds), flaky(number)
    total = first.result + second.result + third.result
    log("end", total)
    return total


@app.task
async def async_parent(number: int, seconds: float) -> int:
    log("start")
    first, second = await short.acall(number), await doze.acall(number, seconds)
    total = await first + await second
    log("end", total)
    return total


@app.task
def hold(begun: str, until: str) -> int:
    """Make one file when it begins, end when the other exists."""
    log("start")
    Path(begun).touch()
    while not Path(until).exists():
        time.sleep(0.005)
    log("end", 1)
    return 1


@app.task
async def async_hold(begun: str, until: str) -> int:
    log("start")
    Path(begun).touch()  # noqa: ASYNC240 - a file of no size
    while not Path(until).exists():  # noqa: ASYNC110, ASYNC240 - what happens is in another process
        await asyncio.sleep(0.005)
    log("end", 1)
    return 1


@app.task(queue="elsewhere")
def served_elsewhere(number: int) -> int:
    log("start")
    log("end", number)
    return number


@app.task
def waits_for(begun: str, until: str) -> int:
    """Wait for a child that holds."""
    log("start")
    value = hold(begun, until).result
    log("end", value)
    return value


@app.task
def waits_for_elsewhere(number: int) -> int:
    log("start")
    value = served_elsewhere(number).result
    log("end", value)
    return value


@app.task
async def async_waits_for_elsewhere(number: int) -> int:
    log("start")
    value = await (await served_elsewhere.acall(number))
    log("end", value)
    return value
