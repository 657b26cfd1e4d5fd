"""What is due first goes first (EDF)."""

from __future__ import annotations

from datetime import timedelta

from pynenc.errors import ConfigurationError
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import MIDDLE_BAND, before_parent, instant_key


class DeadlineScheduler(Scheduler):
    """The earliest deadline first: on one slot no order misses fewer whenever one exists that misses none.

    The deadline is the option `deadline` of the task or of the call. It only orders; `expires` drops what is too late
    to begin. (C. L. Liu, J. W. Layland, "Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment",
    JACM 20, 1973.)

    Args:
        otherwise: work without a deadline is due so long after its submission; so it does not wait for ever either.
    """

    name = "deadline"

    def __init__(self, *, otherwise: timedelta = timedelta(days=1)) -> None:
        if otherwise <= timedelta(0):
            raise ConfigurationError(f"otherwise={otherwise!r} of DeadlineScheduler has to be above zero")
        self._otherwise_us = otherwise // timedelta(microseconds=1)

    def rank(self, context: RankContext) -> Rank:
        due_us = context.now_us + self._otherwise_us if context.deadline_us is None else context.deadline_us
        return before_parent(Rank(MIDDLE_BAND, instant_key(due_us)), context)
