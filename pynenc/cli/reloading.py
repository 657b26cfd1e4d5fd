"""Starting anew when a file changes: for development."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

_INTERVAL_S = 0.5


def run_with_reload(arguments: Sequence[str]) -> int:
    """Run `pynenc` with `arguments` in a child process; replace it whenever a Python file below here changes."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while True:
        child = subprocess.Popen([sys.executable, "-m", "pynenc", *arguments])
        changed = next(changes(Path.cwd(), stop), None)
        child.terminate()
        code = child.wait()
        if changed is None:
            return code
        click.echo(f"{changed} changed: starting anew", err=True)


def changes(folder: Path, stop: threading.Event) -> Iterator[str]:
    """Yield the name of a changed Python file each time there is one, until `stop` is set."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError:
        yield from _changes_by_looking(folder, stop)
        return
    for found in watch(folder, watch_filter=PythonFilter(), stop_event=stop, raise_interrupt=False):
        yield next(iter(found))[1]


def _changes_by_looking(folder: Path, stop: threading.Event) -> Iterator[str]:
    before = _times(folder)
    while not stop.wait(_INTERVAL_S):
        now = _times(folder)
        changed = {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}
        before = now
        if changed:
            yield min(changed)


def _times(folder: Path) -> dict[str, int]:
    found = {}
    for path in folder.rglob("*.py"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                found[str(path)] = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
    return found
