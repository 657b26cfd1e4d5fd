"""What a claim costs while a queue is long."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from benchmarks.alone.one_queue import OneQueue
from benchmarks.alone.places import NAMES, fresh_backend
from benchmarks.record import Figure, Measured

_SHORT = 1_000
_CLAIMED = 10
_CLAIMS = 300


def long_queue(stores: Sequence[str], number: int) -> Measured:
    """Time a claim of ten with `number` queued, over one with a thousand queued."""
    return Measured(figures=[_on(store, number) for store in stores])


def _on(store: str, number: int) -> Figure:
    with fresh_backend(store) as (_, backend):
        queue = OneQueue(backend)
        queue.fill(_SHORT)
        few = _claim_us(queue)
        queue.fill(number - _SHORT)
        many = _claim_us(queue)
    return Figure(
        what=f"{NAMES[store]}: claim of {_CLAIMED} with {number:,} queued, over {_SHORT:,} queued",
        value=many / few,
        unit="×",
        at_most=1.5,
        detail=f"{many:,.0f} µs / {few:,.0f} µs",
    )


def _claim_us(queue: OneQueue) -> float:
    """Return the median microseconds of an exchange that claims ten, which are handed back."""
    times = []
    for _ in range(_CLAIMS):
        begin = time.perf_counter()
        claims = queue.claim(_CLAIMED)
        times.append(time.perf_counter() - begin)
        queue.hand_back(claims)
    return 1e6 * statistics.median(times)
