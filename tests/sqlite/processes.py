"""Other processes for tests: forked children that do one thing and report."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any


class Child:
    """A forked process that runs a function and sends back what it returns."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            _run(function, writer)
        os.close(writer)

    def result(self) -> Any:
        """Wait for the end and return the result; raise if the function raised."""
        with os.fdopen(self._reader, "rb") as pipe:
            data = pipe.read()
        os.waitpid(self.pid, 0)
        ok, value = pickle.loads(data)  # noqa: S301 - our own child
        if not ok:
            raise AssertionError(value)
        return value

    def kill(self) -> None:
        """End it as SIGKILL does."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._reader)


def _run(function: Callable[[], Any], writer: int) -> None:
    try:
        message = (True, function())
    except BaseException:  # noqa: BLE001 - whatever it is, the parent shows it
        message = (False, traceback.format_exc())
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(pickle.dumps(message))
    os._exit(0)
