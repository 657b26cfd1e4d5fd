"""Starting anew when a file changes: for development."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

_INTERVAL_S = 0.5
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child:
    """`pynenc` with other arguments in a process that can be replaced.

    It has a process group of its own: Ctrl-C in the terminal reaches it through its parent alone, so that the one
    signal that drains a runner is not followed at once by a second one, which kills it.
    """

    def __init__(self, arguments: Sequence[str], *, quiet: bool = False) -> None:
        """
        Args:
            quiet: its output goes nowhere, and its log to `log`.
        """
        self._command = [sys.executable, "-m", "pynenc", *arguments]
        self._quiet = quiet
        self._lock = threading.Lock()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        output = subprocess.DEVNULL if self._quiet else None
        log = subprocess.PIPE if self._quiet else None
        return subprocess.Popen(self._command, stdout=output, stderr=log, process_group=0)

    @property
    def log(self) -> IO[bytes] | None:
        """The log of the process that runs now."""
        return self._process.stderr

    def restart(self) -> None:
        """End the process in good order and start it anew."""
        with self._lock:
            self._end()
            self._process = self._start()

    def stop(self) -> int:
        """End the process in good order; return its exit code."""
        with self._lock:
            return self._end()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def _end(self) -> int:
        self._process.terminate()
        return self._process.wait()


@contextmanager
def ending_signals(stop: threading.Event, child: Child) -> Iterator[None]:
    """Let the first signal to end set `stop`, and a second one kill the child."""

    def obey(*_: object) -> None:
        if stop.is_set():
            child.kill()
        stop.set()

    before = {number: signal.signal(number, obey) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_with_reload(arguments: Sequence[str]) -> int:
    """Run `pynenc` with `arguments` in a child process; replace it whenever a Python file below here changes."""
    stop = threading.Event()
    child = Child(arguments)
    with ending_signals(stop, child):
        for changed in changes(Path.cwd(), stop):
            click.echo(f"{changed} changed: starting anew", err=True)
            child.restart()
        return child.stop()


def changes(folder: Path, stop: threading.Event) -> Iterator[str]:
    """Yield the name of a changed Python file each time there is one, until `stop` is set."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError:
        yield from changes_by_looking(folder, stop)
        return
    for found in watch(folder, watch_filter=PythonFilter(), stop_event=stop, raise_interrupt=False):
        yield min(path for _, path in found)


def changes_by_looking(folder: Path, stop: threading.Event, interval_s: float = _INTERVAL_S) -> Iterator[str]:
    """`changes` without watchfiles: compare the times of all files now and then."""
    before = _times(folder)
    while not stop.wait(interval_s):
        now = _times(folder)
        changed = _differing(before, now)
        before = now
        if changed:
            yield min(changed)


def _differing(before: Mapping[str, int], now: Mapping[str, int]) -> set[str]:
    return {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}


def _times(folder: Path) -> dict[str, int]:
    found = {}
    for path in folder.rglob("*.py"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                found[str(path)] = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
    return found
