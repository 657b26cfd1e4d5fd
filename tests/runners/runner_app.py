"""The app of the runner tests: importable by worker processes."""

from __future__ import annotations

import asyncio
import os
import time

from pynenc import Pynenc, current_invocation
from pynenc.invocation import DistributedInvocation

app = Pynenc(app_id="runners")


@app.task
def echo(value: int) -> int:
    return value


@app.task
def fibonacci(n: int) -> int:
    return n if n < 2 else sum(fibonacci.parallelize([(n - 1,), (n - 2,)]).results)


@app.task
def chain(depth: int) -> int:
    return 0 if depth == 0 else chain(depth - 1).result + 1


@app.task
async def async_fibonacci(n: int) -> int:
    if n < 2:
        return n
    group = await async_fibonacci.aparallelize([(n - 1,), (n - 2,)])
    return sum([value async for value in group.async_results()])


@app.task
async def async_chain(depth: int) -> int:
    return 0 if depth == 0 else await (await async_chain.acall(depth - 1)) + 1


@app.task
def wait_for(invocation_id: str) -> object:
    return app.get_invocation(invocation_id).result


@app.task
def cycle() -> object:
    return wait_for(current_invocation().invocation_id).result


@app.task
async def async_wait_for(invocation_id: str) -> object:
    return await app.get_invocation(invocation_id)


@app.task
async def async_cycle() -> object:
    return await (await async_wait_for.acall(current_invocation().invocation_id))


@app.task
async def mixed_cycle() -> object:
    return await (await wait_for.acall(current_invocation().invocation_id))


@app.task
def spin(seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"


@app.task(timeout=0.3)
def sleep_in_c(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@app.task
async def doze(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


@app.task
def touch_and_spin(path: str, seconds: float) -> str:
    open(path, "w").close()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"


@app.task
def plus_one(other: DistributedInvocation[..., int]) -> int:
    return other.result + 1


@app.task
def pid() -> int:
    return os.getpid()
