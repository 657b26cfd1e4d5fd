"""What was begun is finished before anything new is begun."""

from __future__ import annotations

from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import MIDDLE_BAND, before_parent, instant_key


class DependencyScheduler(Scheduler):
    """Children before their parents, then what comes after others (`task.after`), then new work.

    So the graphs that were begun first are over first, instead of all of them being half done; a graph that is
    submitted layer by layer is worked on in depth. A body that goes on after waiting always comes before all new work.
    What a body waits for that was submitted elsewhere goes before it from then on, and so does what that waits for.

    Args:
        by_clock: as of `FifoScheduler`.
    """

    name = "dependency"

    def __init__(self, *, by_clock: bool = False) -> None:
        self.by_clock = by_clock

    def rank(self, context: RankContext) -> Rank:
        key = instant_key(context.now_us) if self.by_clock else None
        return before_parent(Rank(MIDDLE_BAND - 1 if context.follows else MIDDLE_BAND, key), context)

    def inherits(self, queue: str) -> bool:
        return True
