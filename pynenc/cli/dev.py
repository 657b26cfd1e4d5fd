"""`pynenc dev`: a runner in the foreground, with reload and a live table."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pynenc.cli.context import State, plain_table, with_state
from pynenc.io import run
from pynenc.model.records import ListFilter

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_REFRESH_S = 1.0
_RECENT = 10


@click.command()
@click.option("--runner", "kind", default="thread", show_default=True, help="thread, process, async, or a class name.")
@click.option("--rounds", type=int, hidden=True, help="Stop after so many refreshes.")
@with_state
def dev(state: State, kind: str, rounds: int | None) -> None:
    """Run a runner that starts anew when code changes, and show what happens."""
    from pynenc.cli.reloading import changes

    app = state.app()
    stop = threading.Event()
    command = [sys.executable, "-m", "pynenc", *_app_option(state), "runner", "start", "--runner", kind]
    runner = Restarted(command)

    def follow_changes() -> None:
        for _ in changes(Path.cwd(), stop):
            runner.restart()

    threading.Thread(target=follow_changes, name="reload", daemon=True).start()
    try:
        _show(app, stop, rounds)
    except KeyboardInterrupt:
        pass
    finally:
        stop.set()
        runner.stop()


class Restarted:
    """A child process that can be replaced."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def restart(self) -> None:
        with self._lock:
            self._end()
            self._child = self._start()

    def stop(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        self._child.terminate()
        self._child.wait()


def _app_option(state: State) -> list[str]:
    return ["--app", state.app_location] if state.app_location else []


def _show(app: Pynenc, stop: threading.Event, rounds: int | None) -> None:
    """Refresh the picture until somebody stops it: through rich where it is installed, else one table a change."""
    try:
        from rich.live import Live
        from rich.text import Text
    except ImportError:
        _show_plainly(app, stop, rounds)
        return
    with Live(Text(picture(app)), auto_refresh=False) as live:
        for _ in _rounds(stop, rounds):
            live.update(Text(picture(app)), refresh=True)


def _show_plainly(app: Pynenc, stop: threading.Event, rounds: int | None) -> None:
    told = ""
    for _ in _rounds(stop, rounds):
        text = picture(app)
        if text != told:
            told = text
            click.echo(text)


def _rounds(stop: threading.Event, most: int | None) -> Any:
    number = 0
    while (most is None or number < most) and not stop.wait(_REFRESH_S if number else 0):
        number += 1
        yield number


def picture(app: Pynenc) -> str:
    """Return queues and recent invocations as text."""
    from pynenc.cli.invocations import summary

    queues = [
        [each.queue, str(each.ready), str(each.delayed), str(each.running), str(each.suspended), str(each.listeners)]
        for each in run(app.control.queue_stats())
    ]
    recent = [summary(each) for each in run(app.backend.state_backend.listing(ListFilter(limit=_RECENT)))]
    rows = [[row["invocation_id"], row["task_id"], str(row["status"]), str(row["attempt"])] for row in recent]
    top = plain_table(f"app {app.app_id}", ["queue", "ready", "delayed", "running", "waiting", "runners"], queues)
    return f"{top}\n\n{plain_table('recent', ['invocation', 'task', 'status', 'attempt'], rows)}"
