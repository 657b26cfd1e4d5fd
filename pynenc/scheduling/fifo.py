"""First in, first out; what a running invocation submits goes before new roots."""

from __future__ import annotations

from pynenc.ports.scheduler import Rank, RankContext, Scheduler

_BAND_UNIT = 2**44
_MIDDLE_BAND = 128


class FifoScheduler(Scheduler):
    """The default order.

    A child takes the place just before its parent: what was begun is finished before anything new is begun, so
    the number of invocations that wait for others is bounded by the depth of the trees, not by their number.
    """

    name = "fifo"

    def rank(self, context: RankContext) -> Rank:
        if context.parent_rank is None:
            return Rank(band=_MIDDLE_BAND, key=None)
        band, key = divmod(context.parent_rank, _BAND_UNIT)
        return Rank(band=band, key=max(0, key - 1))
