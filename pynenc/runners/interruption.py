"""Stopping Python code that runs in another thread.

The interpreter raises the given exception in that thread at its next bytecode. Limits that no trick removes: code that
blocks inside C (`time.sleep`, a socket, a lock) is reached when it returns; a body may catch the exception.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from pynenc.errors import Cancel, RunnerStopped, TaskCpuTimeExceeded, TaskTimeout

T = TypeVar("T")


class CancelRequested(Cancel):
    """Raised inside a body whose invocation somebody cancelled."""

    def __str__(self) -> str:
        return "cancelled while running"


class TimeIsUp(TaskTimeout):
    """Raised inside a body that used up its time."""

    def __str__(self) -> str:
        return "its body was interrupted"


class CpuTimeIsUp(TaskCpuTimeExceeded):
    """Raised inside a body that used up its processor time."""

    def __str__(self) -> str:
        return "its body was interrupted"


class Superseded(RunnerStopped):
    """Raised inside a body whose work belongs to another runner now."""

    def __str__(self) -> str:
        return "this run was superseded, or its runner ends"


class Interruptible:
    """The stretch of a thread in which exceptions may be raised from outside."""

    __slots__ = ("_lock", "_pending", "_sent", "_thread_id")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread_id: int | None = None
        self._pending: type[BaseException] | None = None
        self._sent = False

    def open(self) -> None:
        """Let interruptions reach the calling thread from here on; one that came before is raised now."""
        with self._lock:
            self._thread_id = threading.get_ident()
            pending, self._pending = self._pending, None
        if pending is not None:
            raise pending

    def shut(self) -> type[BaseException] | None:
        """Keep interruptions off the calling thread; return one that did not arrive, or may not have."""
        with self._lock:
            self._thread_id = None
            pending, self._pending = self._pending, None
            sent, self._sent = self._sent, False
            if sent:
                _take_back()
            return pending

    def interrupt(self, error: type[BaseException]) -> None:
        """Raise `error` in the thread, now or when it opens itself again."""
        with self._lock:
            self._pending = error
            if self._thread_id is not None:
                self._sent = True
                _raise_in(self._thread_id, error)

    def apart(self, act: Callable[[], T]) -> T:
        """Call `act` in one piece in the calling thread; an interruption that comes meanwhile is raised behind it.

        One that is on its way already is raised before `act` does anything; where it was raised before, and the body
        went on, nothing more is kept off.
        """
        with self._lock:
            keeps_off = self._thread_id is not None and not self._sent
            if keeps_off:
                self._thread_id = None
        if not keeps_off:
            return act()
        try:
            return act()
        finally:
            self.open()

    @property
    def is_open(self) -> bool:
        return self._thread_id is not None


class _TakenBack(BaseException):
    """Takes the place of an exception that was not raised yet."""


def _take_back() -> None:
    """Return once no exception is on its way to the calling thread.

    To send none would also take one back, but CPython 3.11 would then believe for ever that one is on its way: every
    thread gets slower, and one that is traced or profiled never leaves the beginning of the next function.
    """
    try:
        _raise_in(threading.get_ident(), _TakenBack)
        while True:
            pass
    except _TakenBack:
        pass


def _raise_in(thread_id: int, error: type[BaseException]) -> None:
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))
