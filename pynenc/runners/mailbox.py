"""Events from bodies to a control loop, and the descriptor that tells of them."""

from __future__ import annotations

import os
import threading
from typing import Protocol

from pynenc.ports.executor import ExecutorEvent


class Outbox(Protocol):
    """Where bodies put what happens to them. Called from any thread; never blocks for long."""

    def put(self, event: ExecutorEvent) -> None:
        """Pass on `event`; events of one run keep their order."""

    def rest(self) -> None:
        """Pass on at once what was held back: nobody is about to put more."""

    def nudge(self) -> None:
        """Have the control loop look at the slots again, although there is no event."""


class Waker:
    """A descriptor that one side makes readable and the other consumes. Never blocks."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def wake(self) -> None:
        try:
            os.write(self._writer, b".")
        except (BlockingIOError, OSError):
            # Full: readable anyway. Closed: nobody is left to wake.
            pass

    def clear(self) -> None:
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        for descriptor in (self._reader, self._writer):
            os.close(descriptor)
        self._reader = self._writer = -1


class Mailbox:
    """An `Outbox` inside one process: a list and a waker, one write per batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[ExecutorEvent] = []
        self._woken = False
        self._waker = Waker()

    def fileno(self) -> int:
        return self._waker.fileno()

    def put(self, event: ExecutorEvent) -> None:
        with self._lock:
            self._events.append(event)
            woken, self._woken = self._woken, True
        if not woken:
            self._waker.wake()

    def rest(self) -> None:
        """Nothing is held back here."""

    def nudge(self) -> None:
        """Have `take` called although nothing was put: `Executor.spare` grew."""
        with self._lock:
            woken, self._woken = self._woken, True
        if not woken:
            self._waker.wake()

    def take(self) -> list[ExecutorEvent]:
        """Return what was put since the last call."""
        if not self._woken:
            return []
        # Cleared first: what is put in between wakes once more, for nothing, instead of never.
        self._waker.clear()
        with self._lock:
            self._woken = False
            events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Give the descriptors back; what is put from now on stays unread."""
        with self._lock:
            self._woken = True
        self._waker.close()
