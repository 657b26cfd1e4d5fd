"""Who runs next: the order of an invocation, decided when it is submitted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from msgspec import Struct


class RankContext(Struct, frozen=True, kw_only=True):
    """What a policy may look at. Pure: no clock, no store."""

    task_id: str
    queue: str
    parent_rank: int | None
    """Rank of the running invocation that submits this one; None outside a run."""


class Rank(Struct, frozen=True):
    """`band` 0..255 (lower first), then `key` 0..2**44-1 (lower first; None: order of submission)."""

    band: int
    key: int | None


class Scheduler(Protocol):
    """Gives each new invocation its place in the queue."""

    name: str

    @abstractmethod
    def rank(self, context: RankContext) -> Rank:
        """Return the place of one invocation."""

    def shares(self, queue: str) -> bool:
        """Whether what is submitted to a queue shares it: each `share_key` with work gets starts by its weight."""
        return False
