"""Waiting in coroutines: one call on an idle system, and thousands of calls that are awaited at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from benchmarks.alone.places import NAMES, bench_client, fresh_store, runners
from benchmarks.comparison import percentile
from benchmarks.noop_app import echo
from benchmarks.record import Figure, Measured

_APART_S = 0.005
_AT_ONCE = 5_000
_ROUNDS = 3


def awaiting(stores: Sequence[str], number: int) -> Measured:
    """Measure `number` calls in a row and 5 ms apart, and 5,000 at once, all awaited on one event loop."""
    measured = Measured()
    for store in stores:
        with fresh_store(store) as url, bench_client(url), runners(url, workers=2):
            in_a_row, apart, per_second = asyncio.run(_measure(number))
        name = NAMES[store]
        measured.figures += [
            Figure(what=f"{name}: await a call, in a row, p50", value=1e3 * percentile(in_a_row, 50), unit=" ms"),
            Figure(what=f"{name}: await a call, 5 ms apart, p50", value=1e3 * percentile(apart, 50), unit=" ms"),
            Figure(what=f"{name}: {_AT_ONCE:,} awaited at once, from submission", value=per_second, unit=" /s"),
        ]
    return measured


async def _measure(number: int) -> tuple[list[float], list[float], float]:
    await _call()
    in_a_row = [await _call() for _ in range(number)]
    apart = []
    for _ in range(number):
        await asyncio.sleep(_APART_S)
        apart.append(await _call())
    await _all_at_once()
    return in_a_row, apart, statistics.median([await _all_at_once() for _ in range(_ROUNDS)])


async def _call() -> float:
    begin = time.perf_counter()
    assert await (await echo.acall(1)) == 1
    return time.perf_counter() - begin


async def _all_at_once() -> float:
    """Return how many results arrive in a second."""
    begin = time.perf_counter()
    group = await echo.aparallelize([(n,) for n in range(_AT_ONCE)])
    results = await asyncio.gather(*(each.async_result() for each in group))
    taken_s = time.perf_counter() - begin
    assert results == list(range(_AT_ONCE)), "a result is missing"
    return _AT_ONCE / taken_s
