"""Cancellations that get lost in the client library.

It sends with `asyncio.wait_for`. Before Python 3.12 that swallows a cancellation that comes in the very step of the
event loop in which the sending ends: the task goes on, and whoever cancelled it waits for nothing.
"""

from __future__ import annotations

import asyncio


class Cancellations:
    """Remembers how often the running task was cancelled so far."""

    __slots__ = ("_number", "_task")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._number = self._task.cancelling() if self._task is not None else 0

    def heed(self) -> None:
        """Raise CancelledError if the task was cancelled in the meantime and goes on all the same."""
        if self._task is not None and self._task.cancelling() > self._number:
            raise asyncio.CancelledError
