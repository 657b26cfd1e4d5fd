"""`pynenc queues`, `pause`, `resume`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from pynenc.cli.context import State, print_json, print_table, with_state
from pynenc.io import run


@click.command()
@with_state
def queues(state: State) -> None:
    """Show depth and age of every queue, and who serves it."""
    rows = [
        {
            "queue": each.queue,
            "ready": each.ready,
            "delayed": each.delayed,
            "running": each.running,
            "waiting": each.suspended,
            "oldest_ready_s": _age(each.oldest_ready_at_us),
            "paused": each.paused,
            "runners": each.listeners,
        }
        for each in run(state.app().control.queue_stats())
    ]
    if state.as_json:
        print_json(rows)
        return
    columns = ["queue", "ready", "delayed", "running", "waiting", "oldest_ready_s", "paused", "runners"]
    print_table(f"{len(rows)} queues", columns, [list(row.values()) for row in rows])


def _age(at_us: int | None) -> float | None:
    if at_us is None:
        return None
    return round(datetime.now(UTC).timestamp() - at_us / 1_000_000, 1)


@click.command()
@click.argument("queue")
@with_state
def pause(state: State, queue: str) -> None:
    """Stop new work of QUEUE; what runs goes on."""
    state.app().pause(queue)
    _tell(state, queue, paused=True)


@click.command()
@click.argument("queue")
@with_state
def resume(state: State, queue: str) -> None:
    """Undo `pause`."""
    state.app().resume(queue)
    _tell(state, queue, paused=False)


def _tell(state: State, queue: str, *, paused: bool) -> None:
    if state.as_json:
        print_json({"queue": queue, "paused": paused})
    else:
        click.echo(f"queue {queue} is {'paused' if paused else 'open'}")
