"""`pynenc invocations` and `pynenc why`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pynenc.cli.context import State, agree, print_json, with_state
from pynenc.cli.ids import find_id, find_ids
from pynenc.cli.tables import cell, print_fields, print_table, printable
from pynenc.cli.views import details, summary
from pynenc.core.cancelling import LIVE, cancel_matching
from pynenc.core.why import explain
from pynenc.errors import InvocationNotFound
from pynenc.io import run
from pynenc.model.ids import id_text, parse_id
from pynenc.model.records import CancelVerdict, ListFilter
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_ROWS = ("invocation_id", "task_id", "queue", "status", "attempt", "created_at", "ended_at")
_FIELDS_APART = ("history", "attempts", "children", "error", "progress")


@click.group()
def invocations() -> None:
    """Look at invocations and steer them. An ID may be cut to as many digits as tell it apart."""


@invocations.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice([each.value for each in InvocationStatus]))
@click.option("--task", "task_id", help="Only those of this task id.")
@click.option("--queue", help="Only those of this queue.")
@click.option("--before", metavar="ID", help="Only those older than this one: the next page.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@with_state
def list_(
    state: State, statuses: Sequence[str], task_id: str | None, queue: str | None, before: str | None, limit: int
) -> None:
    """List invocations, newest first."""
    app = state.app()
    wanted = ListFilter(
        statuses=tuple(InvocationStatus(each) for each in statuses),
        task_id=task_id,
        queue=queue,
        before=_cursor(before),
        limit=limit,
    )
    rows = [summary(each) for each in run(app.backend.state_backend.listing(wanted))]
    if state.as_json:
        print_json(rows)
        return
    print_table("invocations", _ROWS, [[row[name] for name in _ROWS] for row in rows])
    if len(rows) == limit:
        click.echo(f"there may be more: --before {rows[-1]['invocation_id']}", err=True)


@invocations.command()
@click.argument("invocation_id", metavar="ID")
@with_state
def show(state: State, invocation_id: str) -> None:
    """Show all that is known of one invocation."""
    app = state.app()
    snapshot = run(app.backend.state_backend.snapshots([find_id(app, invocation_id)]))[0]
    if snapshot is None:
        raise InvocationNotFound(f"invocation {invocation_id} was purged just now")
    known = details(app, snapshot)
    if state.as_json:
        print_json(known)
    else:
        print_details(known)


def print_details(known: dict[str, Any]) -> None:
    """Print all that is known of one invocation."""
    fields = {name: value for name, value in known.items() if name not in _FIELDS_APART}
    print_fields({**fields, "progress": _progress_text(known["progress"])})
    for name in ("history", "attempts", "children"):
        rows = known[name]
        if rows:
            click.echo()
            print_table(name, list(rows[0]), [list(row.values()) for row in rows])
    if known["error"]:
        click.echo(f"\n{printable(known['error'], keep=chr(10))}")


def _progress_text(progress: dict[str, Any] | None) -> str | None:
    if progress is None:
        return None
    amount = "" if progress["done"] is None else f"{progress['done']:g}"
    total = "" if progress["total"] is None else f" of {progress['total']:g}"
    told = (f"{amount}{total}", progress["message"], "" if progress["details"] is None else repr(progress["details"]))
    return ", ".join(each for each in told if each)


@invocations.command()
@click.argument("invocation_ids", metavar="[ID]...", nargs=-1)
@click.option("--task", "task_id", help="All that have not ended of this task id.")
@click.option("--queue", help="All that have not ended of this queue.")
@click.option("--status", "statuses", multiple=True, type=click.Choice([each.value for each in LIVE]))
@click.option("--tree", is_flag=True, help="Also everything that was submitted below them.")
@click.option("--reason", default="cancelled from the command line", show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask, without IDs.")
@with_state
def cancel(
    state: State,
    invocation_ids: Sequence[str],
    task_id: str | None,
    queue: str | None,
    statuses: Sequence[str],
    tree: bool,
    reason: str,
    yes: bool,
) -> int:
    """Cancel invocations, those named or all that the options choose; those that run are asked to stop.

    Exits with 1 if one that was named had ended before.
    """
    chosen = task_id is not None or queue is not None or bool(statuses)
    if chosen == bool(invocation_ids):
        raise click.UsageError("give IDs, or options that choose (--task, --queue, --status)")
    app = state.app()
    if not chosen:
        return _cancel_ids(state, app, invocation_ids, tree=tree, reason=reason)
    agree(app, "cancels all that match", yes=yes)
    wanted = tuple(map(InvocationStatus, statuses)) or LIVE
    number = run(cancel_matching(app, task_id=task_id, queue=queue, statuses=wanted, tree=tree, detail=reason))
    if state.as_json:
        print_json({"cancelled": number})
    else:
        click.echo(f"{number} cancelled or asked to stop")
    return 0


def _cancel_ids(state: State, app: Pynenc, texts: Sequence[str], *, tree: bool, reason: str) -> int:
    ids = find_ids(app, texts)
    replies = run(app.control.cancel(ids, tree=tree, detail=reason))
    told = [{"invocation_id": id_text(each.invocation_id), "verdict": each.verdict.name.lower()} for each in replies]
    if state.as_json:
        print_json(told)
    else:
        print_table("cancelled", ["invocation_id", "verdict"], [list(each.values()) for each in told])
    in_vain = (CancelVerdict.FINAL, CancelVerdict.UNKNOWN)
    return 1 if any(each.verdict in in_vain for each in replies if each.invocation_id in ids) else 0


@invocations.command()
@click.argument("invocation_ids", metavar="ID...", nargs=-1, required=True)
@with_state
def retry(state: State, invocation_ids: Sequence[str]) -> int:
    """Put invocations that have ended back into their queues. Exits with 1 if one had not ended."""
    app = state.app()
    ids = find_ids(app, invocation_ids)
    back = run(app.control.requeue(ids))
    left = [id_text(each) for each in ids if each not in back]
    if state.as_json:
        print_json({"requeued": [id_text(each) for each in back], "not_ended": left})
    else:
        click.echo(f"{len(back)} requeued" + (f"; not ended yet: {', '.join(left)}" if left else ""))
    return 1 if left else 0


@invocations.command()
@click.argument("invocation_id", metavar="[ID]", required=False)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between looks at what nobody announces: progress, and invocations without an ID given.",
)
@with_state
def tail(state: State, invocation_id: str | None, interval: float) -> int:
    """Follow one invocation to its end, or all of them until interrupted.

    Exits with 1 if the one given did not succeed. With --json, one document a line.
    """
    from pynenc.cli.tailing import follow_all, follow_one

    app = state.app()
    status = ""
    events = follow_one(app, find_id(app, invocation_id), interval) if invocation_id else follow_all(app, interval)
    try:
        for event in events:
            status = event["status"]
            if state.as_json:
                print_json(event, lines=True)
            else:
                click.echo("  ".join(cell(value) for value in event.values() if value not in (None, "")))
    except KeyboardInterrupt:
        return 0
    return 0 if status == InvocationStatus.SUCCESS else 1


@click.command()
@click.argument("invocation_id", metavar="ID")
@with_state
def why(state: State, invocation_id: str) -> None:
    """Say in one sentence why an invocation is not running."""
    app = state.app()
    found = find_id(app, invocation_id)
    sentence = run(explain(app.backend, found))
    if state.as_json:
        print_json({"invocation_id": id_text(found), "why": sentence})
    else:
        click.echo(cell(sentence))


def _cursor(text: str | None) -> Any:
    """Return where a page begins: an id, which need not be known any more."""
    if text is None:
        return None
    try:
        return parse_id(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--before") from error
