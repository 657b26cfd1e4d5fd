"""The most important first."""

from __future__ import annotations

from datetime import timedelta

from pynenc.errors import ConfigurationError
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import LARGEST_KEY, MIDDLE_BAND, before_parent, instant_key

HIGHEST = 100.0
_STEPS = 16
_STEP_BITS = 40
"""Of a key: below it milliseconds (until 2054), above it the sixteenths of a point of priority."""


class PriorityScheduler(Scheduler):
    """Higher priorities first, equal ones in the order of submission, by the clock of who submits.

    Args:
        ageing: the wait that is worth one point of priority. What waits longer overtakes, so nothing waits for ever:
            with a minute, work of priority 0 goes before work of priority 10 that came more than ten minutes later.
            None: a higher priority always goes first.
        inherit: whether what a running invocation submits goes before it, whatever its own priority.

    Without ageing priorities are told apart to a sixteenth of a point.
    """

    def __init__(self, *, ageing: timedelta | None = None, inherit: bool = True) -> None:
        if ageing is not None and ageing <= timedelta(0):
            raise ConfigurationError(f"ageing={ageing!r} of PriorityScheduler has to be above zero, or None")
        self.name = "priority" if ageing is None else "ageing"
        self._point_us = None if ageing is None else ageing // timedelta(microseconds=1)
        self._inherit = inherit

    def rank(self, context: RankContext) -> Rank:
        own = self._strict(context) if self._point_us is None else self._aged(context, self._point_us)
        return before_parent(own, context) if self._inherit else own

    def _strict(self, context: RankContext) -> Rank:
        place = round((HIGHEST - context.priority) * _STEPS)
        instant = min(instant_key(context.now_us), (1 << _STEP_BITS) - 1)
        return Rank(MIDDLE_BAND - 100 + place // _STEPS, (place % _STEPS << _STEP_BITS) + instant)

    def _aged(self, context: RankContext, point_us: int) -> Rank:
        # As if it had been submitted so much earlier: nothing has to be ranked anew while it waits.
        return Rank(MIDDLE_BAND, min(instant_key(context.now_us - round(context.priority * point_us)), LARGEST_KEY))


def ageing_scheduler() -> PriorityScheduler:
    """Return the scheduler of the name `ageing`: a minute of waiting is worth a point."""
    return PriorityScheduler(ageing=timedelta(minutes=1))
