"""Runners as real processes, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class RunnerProcess:
    """`pynenc runner start` in a process of its own."""

    def __init__(self, app: str, *options: str, environment: Mapping[str, str], log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pynenc", "--app", app, "runner", "start", *options],
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = self._process.pid

    @property
    def workers(self) -> list[int]:
        """Process ids of its children."""
        return children_of(self.pid)

    def kill(self) -> list[int]:
        """End it with SIGKILL; return the workers it had."""
        workers = self.workers
        self._process.kill()
        self._process.wait(timeout=30)
        self._log.close()
        return workers

    def stop(self) -> int:
        """End it with SIGTERM; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; none if it has ended."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended; return its exit code: that of a killed process if it had to be killed."""
        try:
            code = self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(timeout=30)
        self._log.close()
        return code


def children_of(pid: int) -> list[int]:
    """Return the children of a process; none if it is gone."""
    try:
        return [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pids: list[int], *, timeout_s: float = 30.0) -> list[int]:
    """Wait for processes that are no children of this one to end; return those that did not."""
    import time

    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
