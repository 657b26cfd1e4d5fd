"""What became of an invocation, as users see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from pynenc.model.status import InvocationStatus


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One status an invocation went through."""

    status: InvocationStatus
    timestamp: datetime
    """When it took that status; aware, UTC."""
    attempt: int
    """Which counted attempt it belongs to; 0 before the first."""
    runner: str | None
    """Who acted: the runner's name; None for the store or a client."""
    worker: int
    """Which worker of the runner: a process id or thread number, 0 if none."""
    detail: str = ""


class Progress(Struct, frozen=True, kw_only=True):
    """What a body reported of itself."""

    done: float | None = None
    total: float | None = None
    message: str = ""
    details: Any = None
    """What `heartbeat(details)` carried."""
    at_us: int = 0
    """When, in microseconds since the Unix epoch by the runner's clock."""

    @property
    def fraction(self) -> float | None:
        """`done / total`, between 0 and 1, if both are known."""
        if self.done is None or not self.total:
            return None
        return max(0.0, min(1.0, self.done / self.total))
