"""`pynenc queues`, `pause`, `resume`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.tables import print_table
from pynenc.io import run

if TYPE_CHECKING:
    from pynenc.app import Pynenc

COLUMNS = ("queue", "ready", "blocked", "delayed", "running", "waiting", "oldest_ready_s", "paused", "runners")


@click.command()
@with_state
def queues(state: State) -> None:
    """Show depth and age of every queue, what limits block, and who serves it."""
    rows = queue_rows(state.app())
    if state.as_json:
        print_json(rows)
    else:
        print_table("queues", COLUMNS, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[Any]:
    return [_paused_text(row) if column == "paused" else row[column] for column in COLUMNS]


def _paused_text(row: dict[str, Any]) -> str:
    if not row["paused"]:
        return ""
    by = f"by {row['paused_by']}, " if row["paused_by"] else ""
    reason = f": {row['pause_reason']}" if row["pause_reason"] else ""
    return f"{by}{row['paused_s']} s{reason}"


def queue_rows(app: Pynenc) -> list[dict[str, Any]]:
    """Return what is known of every queue, under the names of `COLUMNS`, and of its pause."""
    return [
        {
            "queue": each.queue,
            "ready": each.ready,
            "blocked": each.blocked,
            "delayed": each.delayed,
            "running": each.running,
            "waiting": each.suspended,
            "oldest_ready_s": _age_s(each.oldest_ready_at_us),
            "paused": each.paused,
            "runners": each.listeners,
            "paused_by": each.pause and each.pause.by,
            "pause_reason": each.pause and each.pause.reason,
            "paused_s": _age_s(each.pause.at_us if each.pause else None),
        }
        for each in run(app.control.queue_stats())
    ]


def _age_s(at_us: int | None) -> float | None:
    return None if at_us is None else max(0.0, round(time.time() - at_us / 1_000_000, 1))


@click.command()
@click.argument("queue")
@click.option("--by", help="Who wants that; by default the user and the machine.")
@click.option("--reason", default="", help="What for; `why` tells it.")
@with_state
def pause(state: State, queue: str, by: str | None, reason: str) -> None:
    """Stop new work of QUEUE; what runs goes on."""
    state.app().pause(queue, by=by, reason=reason)
    _tell(state, queue, paused=True)


@click.command()
@click.argument("queue")
@with_state
def resume(state: State, queue: str) -> None:
    """Undo `pause`."""
    state.app().resume(queue)
    _tell(state, queue, paused=False)


def _tell(state: State, queue: str, *, paused: bool) -> None:
    rows = [row for row in queue_rows(state.app()) if row["queue"] == queue]
    if state.as_json:
        print_json({"queue": queue, "paused": paused, **(rows[0] if rows else {})})
        return
    since = next((f" ({_paused_text(row)})" for row in rows if row["paused"]), "")
    click.echo(f"queue {queue} is {f'paused{since}' if paused else 'open'}")
    for row in rows:
        age = "" if row["oldest_ready_s"] is None else f", the oldest for {row['oldest_ready_s']} s"
        click.echo(f"{row['ready']} ready{age}; {row['blocked']} blocked by limits; {row['running']} running")
