"""What a worker process is to be: how it runs bodies, and how many at a time."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct


class WorkerMode(Enum):
    """How a worker process runs bodies."""

    THREADS = "threads"
    """Each in a thread; coroutines on an event loop of their own in it."""
    ASYNCIO = "asyncio"
    """Coroutines on one event loop, other bodies in threads beside it."""


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """The `config` of a WELCOME frame."""

    mode: WorkerMode = WorkerMode.THREADS
    slots: int = 1
    """Bodies that run at a time in one process; waiting ones do not count."""

    def as_frame(self) -> dict[str, Any]:
        """Return what a WELCOME frame carries."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    @staticmethod
    def of_frame(config: dict[str, Any]) -> WorkerConfig:
        """Return what a WELCOME frame said.

        Raises:
            msgspec.ValidationError: it names what this release does not know.
        """
        return msgspec.convert(config, WorkerConfig)
