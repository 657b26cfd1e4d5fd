"""Orders of work: the schedulers of this package, and what a scheduler of one's own is made of."""

from pynenc.model.records import NEWEST_FIRST
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.deadline import DeadlineScheduler
from pynenc.scheduling.dependency import DependencyScheduler
from pynenc.scheduling.fifo import FifoScheduler
from pynenc.scheduling.lifo import LifoScheduler
from pynenc.scheduling.priority import PriorityScheduler
from pynenc.scheduling.ranks import MIDDLE_BAND, before_parent, instant_key
from pynenc.scheduling.shortest import ShortestScheduler

__all__ = [
    "MIDDLE_BAND",
    "NEWEST_FIRST",
    "DeadlineScheduler",
    "DependencyScheduler",
    "FifoScheduler",
    "LifoScheduler",
    "PriorityScheduler",
    "Rank",
    "RankContext",
    "Scheduler",
    "ShortestScheduler",
    "before_parent",
    "instant_key",
]
