"""`pynenc dev`: a runner in the foreground, with reload and a live table."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.queues import COLUMNS, queue_rows
from pynenc.cli.reloading import Child, changes, ending_signals
from pynenc.cli.tables import cell, plain_table, screen
from pynenc.cli.views import summary
from pynenc.io import run
from pynenc.model.records import ListFilter

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_RECENT = 10
_LOG_LINES = 8
_RECENT_COLUMNS = ("invocation_id", "task_id", "queue", "status", "attempt", "ended_at")


@click.command()
@click.option(
    "--runner", "kind", default="thread", show_default=True, help="thread, process, async, hybrid, or a class name."
)
@click.option("--interval", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds per look.")
@with_state
def dev(state: State, kind: str, interval: float) -> None:
    """Run a runner that starts anew when code changes, and show queues, recent invocations and its log.

    With --json, one document a line whenever something changed.
    """
    app = state.app()
    stop = threading.Event()
    location = ["--app", state.app_location] if state.app_location else []
    child = Child([*location, "runner", "start", "--runner", kind], quiet=True)
    log: deque[str] = deque(maxlen=_LOG_LINES)
    _in_background("reload", lambda: _follow_changes(child, log, stop))
    with ending_signals(stop, child):
        try:
            _show(app, log, _rounds(stop, interval), as_json=state.as_json)
        finally:
            stop.set()
            child.stop()


def picture(app: Pynenc) -> dict[str, Any]:
    """Return what there is to see: the queues and the most recent invocations."""
    recent = run(app.backend.state_backend.listing(ListFilter(limit=_RECENT)))
    return {"app_id": app.app_id, "queues": queue_rows(app), "recent": [summary(each) for each in recent]}


def as_text(seen: dict[str, Any], log: list[str]) -> str:
    """Return a picture for people."""
    parts = [
        _table(f"app {seen['app_id']}", COLUMNS, seen["queues"]),
        _table("recent", _RECENT_COLUMNS, seen["recent"]),
    ]
    return "\n\n".join([*parts, "\n".join(log)] if log else parts)


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    return plain_table(title, columns, [[cell(row[name]) for name in columns] for row in rows])


def _show(app: Pynenc, log: deque[str], rounds: Iterator[None], *, as_json: bool) -> None:
    told: dict[str, Any] | None = None
    with screen() as show:
        for _ in rounds:
            seen = picture(app)
            if not as_json:
                show(as_text(seen, list(log)))
            elif seen != told:
                told = seen
                print_json(seen, lines=True)


def _rounds(stop: threading.Event, interval_s: float) -> Iterator[None]:
    while not stop.is_set():
        yield
        stop.wait(interval_s)


def _follow_changes(child: Child, log: deque[str], stop: threading.Event) -> None:
    _in_background("log", lambda: _read_log(child, log))
    for changed in changes(Path.cwd(), stop):
        child.restart(stop)
        log.append(f"{changed} changed: started anew")
        _in_background("log", lambda: _read_log(child, log))


def _read_log(child: Child, log: deque[str]) -> None:
    for line in child.log or ():
        log.append(cell(line.decode(errors="replace").rstrip()))


def _in_background(name: str, work: Any) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()
