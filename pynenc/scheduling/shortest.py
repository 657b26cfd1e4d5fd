"""What is expected to be over soonest goes first."""

from __future__ import annotations

from pynenc.errors import ConfigurationError
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import MIDDLE_BAND, before_parent, instant_key

_UNKNOWN_US = 1_000_000


class ShortestScheduler(Scheduler):
    """Short work before long work, which makes the mean wait short; long work does not wait for ever.

    A run that is expected to take a second longer lets pass what is submitted up to `patience` seconds later.
    Expectations are the median of recorded run times of the task.

    Args:
        patience: above zero. Small: nearly first in, first out. Large: nearly always the shortest one.
    """

    name = "shortest"
    wants_run_times = True

    def __init__(self, *, patience: float = 10.0) -> None:
        if not 0 < patience < 1e6:
            raise ConfigurationError(
                f"patience={patience!r} of ShortestScheduler has to be above 0 and below 1,000,000"
            )
        self._patience = patience

    def rank(self, context: RankContext) -> Rank:
        expected_us = _UNKNOWN_US if context.run_time_us is None else context.run_time_us
        return before_parent(
            Rank(MIDDLE_BAND, instant_key(context.now_us + round(self._patience * expected_us))), context
        )
