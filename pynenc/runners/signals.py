"""What SIGTERM and SIGINT do to a process that is a runner.

States: running -> draining -> killed -> gone. The first signal drains, the second kills, the third ends the process.

* Signals are read from a pipe by a thread of its own, which the interpreter's C handler writes to: they are followed
  while the main thread sits in a call to the store, and nothing runs inside a signal handler, where a lock of the main
  thread could be held.
* A drain ends: if the loop is not done `_OVERTIME_S` after its grace period (a store that swallows calls, a loop that
  is stuck), the process ends by force. So does a kill after `_KILL_S`. What was not handed over waits for the lease.
* Before there is a loop nothing is claimed: `exits_when_told` ends the process in good order. Without a handler a
  process that is number 1 of its container would not hear SIGTERM at all. It raises where the main thread happens to
  be, and some places let no exception pass (finalizers, callbacks of imports): a signal that went under there is
  followed once the loop would begin.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

logger = logging.getLogger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT)
_OVERTIME_S = 15.0
_KILL_S = 5.0
_LAST_WORDS_S = 0.5


def exit_code_of(number: signal.Signals) -> int:
    """Return the exit code of a runner that a signal killed, as shells count: 143 for SIGTERM, 130 for SIGINT."""
    return 128 + number


class StopSignals:
    """Leads the signals that stop a runner to its control loop, while used as a context manager in the main thread.

    Args:
        drain: begins a drain; called once.
        kill: ends at once; called once.
        grace_s: how long the drain may take.
    """

    def __init__(self, drain: Callable[[], None], kill: Callable[[], None], *, grace_s: float) -> None:
        self._drain = drain
        self._kill = kill
        self._grace_s = grace_s
        self._seen = 0
        self._ends_by_s: float | None = None
        self._last = signal.SIGTERM
        self.killed_by: signal.Signals | None = None
        """The second signal, if there was one."""

    def __enter__(self) -> StopSignals:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = {number: signal.signal(number, _heard) for number in STOPPING}
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._follow, name="pynenc-signals", daemon=True)
        self._thread.start()
        if _unheeded:
            os.write(self._writer, bytes([_unheeded.pop()]))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def _follow(self) -> None:
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        while True:
            if not poller.poll(self._left_ms()):
                _end_by_force(self._last)
            numbers = os.read(self._reader, 64)
            if not numbers:
                return
            for number in numbers:
                if number in STOPPING:
                    self._obey(signal.Signals(number))

    def _left_ms(self) -> int | None:
        return None if self._ends_by_s is None else max(0, int((self._ends_by_s - time.monotonic()) * 1000))

    def _obey(self, number: signal.Signals) -> None:
        self._seen += 1
        self._last = number
        if self._seen == 1:
            logger.info("%s: drains for up to %g s; a second signal kills", number.name, self._grace_s)
            self._ends_by_s = time.monotonic() + self._grace_s + _OVERTIME_S
            self._drain()
        elif self._seen == 2:
            logger.warning("%s again: hands everything over and ends now", number.name)
            self.killed_by = number
            self._ends_by_s = time.monotonic() + _KILL_S
            self._kill()
        else:
            _end_by_force(number)


@contextmanager
def exits_when_told() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the process with exit code 0 while it starts up or is done; main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _exit) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _unheeded.clear()


_unheeded: list[int] = []
"""The signal that told the process to end, for as long as it goes on all the same; at most one."""


def _exit(number: int, _: FrameType | None) -> NoReturn:
    _unheeded[:] = [number]
    raise SystemExit(0)


def _heard(_: int, __: FrameType | None) -> None:
    """Nothing: the pipe has the number."""


def _end_by_force(number: signal.Signals) -> NoReturn:
    """End the process now. Nobody may keep it from that, a full pipe behind the log no more than a lock."""
    text = "not done in time: ends by force; what is left goes to others when the lease ends"
    last_words = threading.Thread(target=logger.critical, args=(text,), daemon=True)
    last_words.start()
    last_words.join(_LAST_WORDS_S)
    os._exit(exit_code_of(number))
