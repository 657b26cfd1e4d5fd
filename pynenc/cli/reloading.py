"""Starting anew when a file changes: for development.

States of the child: running -> ending -> replaced, or gone by itself (an error in what it imports). A child that is
gone stays gone until the next change: whoever made the error is about to mend it. The end is always a drain, so nothing
is lost; a further change while it drains is one more change.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
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
        self.is_ending = False
        output = subprocess.DEVNULL if self._quiet else None
        log = subprocess.PIPE if self._quiet else None
        return subprocess.Popen(self._command, stdout=output, stderr=log, process_group=0)

    @property
    def log(self) -> IO[bytes] | None:
        """The log of the process that runs now."""
        return self._process.stderr

    def restart(self, stop: threading.Event) -> None:
        """End the process in good order and start it anew, unless `stop` was set meanwhile."""
        with self._lock:
            self._end()
            if not stop.is_set():
                self._process = self._start()

    def wait(self) -> int | None:
        """Wait until the process that runs now has ended; return its exit code, or None if it was replaced."""
        process = self._process
        code = process.wait()
        return code if process is self._process else None

    def stop(self) -> int:
        """End the process in good order; return its exit code."""
        with self._lock:
            return self._end()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def _end(self) -> int:
        self.is_ending = True
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
    _tell_how_it_looks()
    child = Child(arguments)
    with ending_signals(stop, child):
        _tell_when_it_ends(child, stop)
        for changed in changes(Path.cwd(), stop):
            click.echo(f"{changed} changed: starting anew", err=True)
            child.restart(stop)
            _tell_when_it_ends(child, stop)
        return child.stop()


def _tell_how_it_looks() -> None:
    if find_spec("watchfiles") is None:
        advice = "pip install 'pynenc[reload]' lets the system tell"
        click.echo(f"without watchfiles, files are looked at every {_INTERVAL_S:g} s: {advice}", err=True)


def _tell_when_it_ends(child: Child, stop: threading.Event) -> None:
    """Say so when the child ends by itself: it starts again with the next change."""

    def wait() -> None:
        code = child.wait()
        if code is not None and not stop.is_set() and not child.is_ending:
            click.echo(f"the runner ended with exit code {code}: waiting for a change", err=True)

    threading.Thread(target=wait, name="reload", daemon=True).start()


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
