"""What finished tasks leave behind in a store once their retention is over.

1. A thousand tasks live and go: tables, scripts and the session are as they are from then on.
2. All of them live and go. No table and no key may hold more than before.
3. A tenth as many live and go once more: they use what became free, so the room in use may not grow either.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.alone.footprint import Footprint, footprint
from benchmarks.alone.one_queue import OneQueue
from benchmarks.alone.places import NAMES, fresh_backend
from benchmarks.record import Figure, Measured

_FEW = 1_000


def growth(stores: Sequence[str], number: int) -> Measured:
    """Look for what `number` finished tasks leave."""
    return Measured(figures=[figure for store in stores for figure in _on(store, number)])


def _on(store: str, number: int) -> list[Figure]:
    with fresh_backend(store) as (url, backend):
        queue = OneQueue(backend)

        def after(tasks: int) -> Footprint:
            queue.fill(tasks)
            queue.finish()
            return footprint(store, url)

        before, then, again = after(_FEW), after(number), after(max(_FEW, number // 10))
    grown = then.grown(before)
    left = ", ".join(f"{more} in {where}" for where, more in grown.items())
    return [
        Figure(
            what=f"{NAMES[store]}: rows or keys left of {number:,} finished tasks past their retention",
            value=sum(grown.values()),
            at_most=0,
            detail=left or f"{then.total} there before and after",
        ),
        Figure(
            what=f"{NAMES[store]}: bytes in use after another tenth of them, over those before it",
            value=again.used / then.used,
            unit="×",
            at_most=1.05,
            detail=f"{again.used / 1e6:,.1f} MB / {then.used / 1e6:,.1f} MB; {before.used / 1e6:,.1f} MB at first",
        ),
    ]
