"""`pynenc invocations` and `pynenc why`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from pynenc.cli.context import State, print_fields, print_json, print_table, with_state
from pynenc.core.history import derive_history, public_status
from pynenc.core.why import explain
from pynenc.errors import InvocationNotFound
from pynenc.io import run
from pynenc.model.ids import id_text, parse_id
from pynenc.model.records import CancelVerdict, ListFilter, Snapshot
from pynenc.model.status import InvocationStatus


@click.group()
def invocations() -> None:
    """Look at invocations and steer them."""


@invocations.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice([each.value for each in InvocationStatus]))
@click.option("--task", "task_id", help="Only those of this task id.")
@click.option("--queue", help="Only those of this queue.")
@click.option("--before", help="Only those older than this id: the next page.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@with_state
def list_(
    state: State, statuses: Sequence[str], task_id: str | None, queue: str | None, before: str | None, limit: int
) -> None:
    """List invocations, newest first."""
    wanted = ListFilter(
        statuses=tuple(InvocationStatus(each) for each in statuses),
        task_id=task_id,
        queue=queue,
        before=parse_id(before) if before else None,
        limit=limit,
    )
    rows = [summary(each) for each in run(state.app().backend.state_backend.listing(wanted))]
    if state.as_json:
        print_json(rows)
        return
    columns = ["invocation_id", "task_id", "queue", "status", "attempt", "created_at", "ended_at"]
    print_table(f"{len(rows)} invocations", columns, [[row[name] for name in columns] for row in rows])


@invocations.command()
@click.argument("invocation_id")
@with_state
def show(state: State, invocation_id: str) -> None:
    """Show all that is known of one invocation."""
    app = state.app()
    snapshot = _snapshot(state, invocation_id)
    history = run(derive_history(app.backend, snapshot))
    children = run(app.backend.state_backend.children(snapshot.call.invocation_id))
    fields = {
        **summary(snapshot),
        "parent_id": id_text(snapshot.call.parent_id) if snapshot.call.parent_id else None,
        "root_id": id_text(snapshot.call.root_id),
        "children": [id_text(child) for child in children],
        "crashes": (snapshot.outcome or snapshot.control).crashes,  # type: ignore[union-attr]  # one of them is set
        "why": run(explain(app.backend, snapshot.call.invocation_id)),
        "error": _error_text(state, snapshot),
    }
    if state.as_json:
        print_json({**fields, "history": [_entry(each) for each in history]})
        return
    print_fields({**fields, "children": len(children), "error": None})
    columns = ["timestamp", "status", "attempt", "runner", "worker", "detail"]
    print_table("history", columns, [[_entry(each)[name] for name in columns] for each in history])
    if fields["error"]:
        click.echo(fields["error"])


@invocations.command()
@click.argument("invocation_ids", nargs=-1, required=True)
@click.option("--tree", is_flag=True, help="Also everything that was submitted below them.")
@click.option("--reason", default="cancelled from the command line", show_default=True)
@with_state
def cancel(state: State, invocation_ids: Sequence[str], tree: bool, reason: str) -> int:
    """Cancel invocations."""
    ids = [parse_id(each) for each in invocation_ids]
    replies = run(state.app().control.cancel(ids, tree=tree, detail=reason))
    told = [{"invocation_id": id_text(each.invocation_id), "verdict": each.verdict.name.lower()} for each in replies]
    if state.as_json:
        print_json(told)
    for each in told if not state.as_json else ():
        click.echo(f"{each['invocation_id']}  {each['verdict']}")
    return 4 if any(each.verdict is CancelVerdict.UNKNOWN for each in replies) else 0


@invocations.command()
@click.argument("invocation_ids", nargs=-1, required=True)
@with_state
def retry(state: State, invocation_ids: Sequence[str]) -> int:
    """Put invocations that have ended back into their queues."""
    ids = [parse_id(each) for each in invocation_ids]
    back = [id_text(each) for each in run(state.app().control.requeue(ids))]
    left = [id_text(each) for each in ids if id_text(each) not in back]
    if state.as_json:
        print_json({"requeued": back, "not_final_or_unknown": left})
    else:
        click.echo(f"{len(back)} requeued" + (f"; not final or unknown: {', '.join(left)}" if left else ""))
    return 1 if left else 0


@invocations.command()
@click.argument("invocation_id", required=False)
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between looks.")
@with_state
def tail(state: State, invocation_id: str | None, interval: float) -> None:
    """Follow one invocation to its end, or all new ones until interrupted."""
    from pynenc.cli.tailing import follow_all, follow_one

    app = state.app()
    events = follow_one(app, parse_id(invocation_id), interval) if invocation_id else follow_all(app, interval)
    for event in events:
        if state.as_json:
            import json

            click.echo(json.dumps(event))
        else:
            click.echo("  ".join(str(value) for value in event.values() if value not in (None, "")))


@click.command()
@click.argument("invocation_id")
@with_state
def why(state: State, invocation_id: str) -> None:
    """Say in one sentence why an invocation is not running."""
    sentence = run(explain(state.app().backend, parse_id(invocation_id)))
    if state.as_json:
        print_json({"invocation_id": invocation_id, "why": sentence})
    else:
        click.echo(sentence)


def _snapshot(state: State, invocation_id: str) -> Snapshot:
    found = run(state.app().backend.state_backend.snapshots([parse_id(invocation_id)]))[0]
    if found is None:
        raise InvocationNotFound(f"no invocation has the id {invocation_id}, or it was purged")
    return found


def summary(snapshot: Snapshot) -> dict[str, Any]:
    outcome, control = snapshot.outcome, snapshot.control
    record = outcome or control
    status = outcome.status if outcome else public_status(control) if control else None
    return {
        "invocation_id": id_text(snapshot.call.invocation_id),
        "task_id": snapshot.call.task_id,
        "queue": snapshot.call.queue,
        "status": status.value if status else None,
        "attempt": record.attempt if record else 0,
        "created_at": _instant(snapshot.call.created_at_us),
        "started_at": _instant(record.started_at_us if record else None),
        "ended_at": _instant(outcome.ended_at_us if outcome else None),
    }


def _entry(entry: Any) -> dict[str, Any]:
    return {
        "timestamp": entry.timestamp,
        "status": entry.status.value,
        "attempt": entry.attempt,
        "runner": entry.runner,
        "worker": entry.worker or None,
        "detail": entry.detail,
    }


def _error_text(state: State, snapshot: Snapshot) -> str | None:
    outcome = snapshot.outcome
    if outcome is None or outcome.status is InvocationStatus.SUCCESS:
        return None
    if not outcome.payload:
        return outcome.reason or None
    error = run(state.app().payloads.decode_error(outcome.payload))
    return str(error.__cause__ or error).strip()


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1_000_000, UTC)
