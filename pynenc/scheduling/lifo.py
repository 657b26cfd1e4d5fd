"""Last in, first out."""

from __future__ import annotations

from pynenc.model.records import NEWEST_FIRST
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import MIDDLE_BAND, before_parent


class LifoScheduler(Scheduler):
    """The newest first, by the store's own sequence: for work that loses its value with age. Nothing keeps old work
    from waiting for ever; `expires` drops it."""

    name = "lifo"

    def rank(self, context: RankContext) -> Rank:
        return before_parent(Rank(MIDDLE_BAND, NEWEST_FIRST), context)
