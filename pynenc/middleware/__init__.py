"""Middleware: your own code around submitting, claiming, running, settling and waiting.

Derive from `Middleware`, override the hooks you need, and hand an instance to `app.add_middleware`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynenc.middleware.base import Middleware
from pynenc.middleware.events import (
    ClaimedRun,
    ClaimEvent,
    EndedRun,
    Ending,
    RelayedCall,
    RelayEvent,
    RunEvent,
    SettleEvent,
    SubmitEvent,
    SubmittedCall,
    WaitEvent,
)

if TYPE_CHECKING:
    from pynenc.middleware.logging_context import LoggingContext

__all__ = [
    "ClaimEvent",
    "ClaimedRun",
    "EndedRun",
    "Ending",
    "LoggingContext",
    "Middleware",
    "RelayEvent",
    "RelayedCall",
    "RunEvent",
    "SettleEvent",
    "SubmitEvent",
    "SubmittedCall",
    "WaitEvent",
]


def __getattr__(name: str) -> object:
    # It imports `logging`, which those who only submit do without.
    if name == "LoggingContext":
        from pynenc.middleware.logging_context import LoggingContext

        return LoggingContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
