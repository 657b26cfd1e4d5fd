"""First in, first out; what a running invocation submits goes before new roots."""

from __future__ import annotations

from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import MIDDLE_BAND, before_parent, instant_key


class FifoScheduler(Scheduler):
    """The default order.

    Args:
        by_clock: order by the clock of who submits, to the millisecond, instead of by the store's own sequence. Such
            ranks compare with those of the other schedulers, where one runner serves queues of several.
    """

    name = "fifo"

    def __init__(self, *, by_clock: bool = False) -> None:
        self.by_clock = by_clock

    def rank(self, context: RankContext) -> Rank:
        key = instant_key(context.now_us) if self.by_clock else None
        return before_parent(Rank(MIDDLE_BAND, key), context)
