"""Another order for each queue."""

from __future__ import annotations

from collections.abc import Mapping

from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.dependency import DependencyScheduler
from pynenc.scheduling.fifo import FifoScheduler

ALL_OTHERS = "*"


class QueueSchedulers(Scheduler):
    """The scheduler of each queue; `*` for all that are not named, first in, first out without it.

    Where there are several kinds, those that go by the store's sequence go by the clock instead, so that the ranks of
    their queues compare with those of the others.
    """

    name = "by queue"

    def __init__(self, schedulers: Mapping[str, Scheduler]) -> None:
        others = schedulers.get(ALL_OTHERS, FifoScheduler())
        mixed = len({each.name for each in (*schedulers.values(), others)}) > 1
        self._others = _comparable(others) if mixed else others
        self._by_queue = {
            queue: _comparable(each) if mixed else each for queue, each in schedulers.items() if queue != ALL_OTHERS
        }
        self.wants_run_times = any(each.wants_run_times for each in (self._others, *self._by_queue.values()))

    def rank(self, context: RankContext) -> Rank:
        return self.of(context.queue).rank(context)

    def inherits(self, queue: str) -> bool:
        return self.of(queue).inherits(queue)

    def shares(self, queue: str) -> bool:
        return self.of(queue).shares(queue)

    def of(self, queue: str) -> Scheduler:
        """Return the scheduler of one queue."""
        return self._by_queue.get(queue, self._others)


def _comparable(scheduler: Scheduler) -> Scheduler:
    if isinstance(scheduler, (FifoScheduler, DependencyScheduler)):
        return type(scheduler)(by_clock=True)
    return scheduler
