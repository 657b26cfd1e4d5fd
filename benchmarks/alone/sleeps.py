"""How close one asyncio runner comes to its ideal."""

from __future__ import annotations

import asyncio
import time

from benchmarks.alone.places import bench_client, fresh_store, runners
from benchmarks.noop_app import doze
from benchmarks.record import Figure, Measured

_PAUSE_S = 0.05
_CONCURRENCY = 100


def sleeps(number: int) -> Measured:
    """The time that `number` sleeps take on one asyncio runner, and on bare asyncio, over the ideal of the limit."""
    ideal_s = number * _PAUSE_S / _CONCURRENCY
    what = f"{number:,} × 50 ms sleeps on one asyncio runner of {_CONCURRENCY} coroutines, over the ideal {ideal_s:g} s"
    return Measured(
        figures=[
            Figure(what=what, value=_on_a_runner(number) / ideal_s, unit="×", at_most=1.3),
            Figure(
                what="the same with a semaphore on bare asyncio, no task system",
                value=asyncio.run(_on_asyncio(number)) / ideal_s,
                unit="×",
            ),
        ]
    )


def _on_a_runner(number: int) -> float:
    with fresh_store() as url, bench_client(url), runners(url, "async", workers=_CONCURRENCY):
        _ = doze(0.0).result
        begin = time.perf_counter()
        group = doze.parallelize((_PAUSE_S,) for _ in range(number))
        ended = sum(1 for _ in group.results)
        taken = time.perf_counter() - begin
    assert ended == number, "a result is missing"
    return taken


async def _on_asyncio(number: int) -> float:
    limit = asyncio.Semaphore(_CONCURRENCY)

    async def one() -> None:
        async with limit:
            await asyncio.sleep(_PAUSE_S)

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(number)))
    return time.perf_counter() - begin
