"""Who runs next: the order of an invocation, decided when it is submitted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from msgspec import Struct


class RankContext(Struct, frozen=True, kw_only=True):
    """What a policy may look at. Pure: no clock, no store."""

    task_id: str
    queue: str
    now_us: int
    """When it is submitted, by the clock of who submits."""
    priority: float = 0.0
    """Option `priority` of the task: -100 to 100, higher first."""
    deadline_us: int | None = None
    """Option `deadline` of the task, as an instant."""
    run_time_us: int | None = None
    """How long runs of the task usually take. None: not known, or not wanted (see `Scheduler.wants_run_times`)."""
    follows: bool = False
    """Whether it comes after others (`task.after`)."""
    parent_rank: int | None = None
    """Rank of the running invocation that submits this one; None outside a run."""


class Rank(Struct, frozen=True):
    """A place in the queue: what has the lowest rank is begun first.

    `band` 0..255, then `key` 0..2**44-1, or None for the order of submission, or
    `pynenc.scheduling.NEWEST_FIRST` for the reverse.
    """

    band: int
    key: int | None


class Scheduler(Protocol):
    """Gives each new invocation its place in the queue.

    Called in the process that submits, by several threads at once if need be, for each submission or once for several
    that are alike; a retry keeps its rank.
    """

    name: str
    wants_run_times: bool = False
    """Whether `RankContext.run_time_us` is to be looked up: a few reads of recorded outcomes, now and then."""

    @abstractmethod
    def rank(self, context: RankContext) -> Rank:
        """Return the place of one invocation.

        What a running invocation submits should come before it: see `pynenc.scheduling.before_parent`.
        """

    def inherits(self, queue: str) -> bool:
        """Whether what a running invocation of a queue waits for goes before it from then on, like its children.

        So does what that waits for in turn, as far as nobody runs it yet.
        """
        return False

    def shares(self, queue: str) -> bool:
        """Whether what is submitted to a queue shares it: each `share_key` with work gets starts by its weight."""
        return False
