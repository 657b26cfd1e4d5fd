"""`pynenc dead`: what failed for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from pynenc.cli.context import State, agree, print_json, with_state
from pynenc.cli.ids import find_id, find_ids
from pynenc.cli.tables import print_table
from pynenc.io import run
from pynenc.model.ids import id_text
from pynenc.model.status import DEAD_STATUSES, InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.core.dead_letters import DeadLetter, DeadLetters

_ROWS = ("invocation_id", "task_id", "queue", "status", "attempts", "ended_at", "reason")
_STATUSES = click.Choice([each.value for each in DEAD_STATUSES])


@click.group()
def dead() -> None:
    """Look at work that failed for good, run it again, or forget it."""


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose dead letters."""
    for option in reversed(
        (
            click.option("--queue", help="Only those of this queue."),
            click.option("--task", "task_id", help="Only those of this task id."),
            click.option("--reason", metavar="TEXT", help="Only those whose error or reason contains this."),
            click.option("--status", "statuses", multiple=True, type=_STATUSES, help="Not FAILED, but these."),
            click.option("--older-than", type=click.FloatRange(0), metavar="HOURS", help="Ended so long ago."),
            click.option("--newer-than", type=click.FloatRange(0), metavar="HOURS", help="Ended since then."),
        )
    ):
        command = option(command)
    return command


@dead.command("list")
@filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@with_state
def list_(state: State, limit: int, **chosen: Any) -> None:
    """List dead letters, newest ending first."""
    rows = [_row(each) for each in islice(_selection(state.app(), chosen), limit)]
    if state.as_json:
        print_json(rows)
    else:
        print_table("dead letters", _ROWS, [[row[name] for name in _ROWS] for row in rows])


@dead.command()
@click.argument("invocation_id", metavar="ID")
@with_state
def show(state: State, invocation_id: str) -> None:
    """Show all that is known of one dead letter."""
    from pynenc.cli.invocations import print_details
    from pynenc.cli.views import details

    app = state.app()
    letter = app.dead_letters.get(id_text(find_id(app, invocation_id)))
    known = {**details(app, letter.snapshot), "reason": letter.reason}
    if state.as_json:
        print_json(known)
    else:
        print_details(known)


@dead.command()
@click.argument("invocation_ids", metavar="[ID]...", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="All that failed.")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=JSON", help="Run one again with another argument, as a new call."
)
@click.option("--keep-old", is_flag=True, help="With --set: keep the old one, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state
def requeue(
    state: State,
    invocation_ids: Sequence[str],
    everything: bool,
    changes: Sequence[str],
    keep_old: bool,
    yes: bool,
    **chosen: Any,
) -> int:
    """Run dead letters again: those named, or all that the options choose. Exits with 1 if one named is none."""
    app = state.app()
    if changes:
        return _resubmit(state, app, invocation_ids, changes, keep_old)
    if invocation_ids:
        return _act_on_ids(
            state, app, invocation_ids, chosen, "requeued", lambda ids: len(run(app.control.requeue(ids)))
        )
    selection = _asked(app, chosen, everything, yes, "requeues")
    return _tell(state, "requeued", selection.requeue())


@dead.command()
@click.argument("invocation_ids", metavar="[ID]...", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="All that failed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state
def discard(state: State, invocation_ids: Sequence[str], everything: bool, yes: bool, **chosen: Any) -> int:
    """Forget dead letters: those named, or all that the options choose. They cannot be had back."""
    app = state.app()
    if invocation_ids:
        purge = app.backend.state_backend.purge
        return _act_on_ids(state, app, invocation_ids, chosen, "discarded", lambda ids: run(purge(ids)))
    selection = _asked(app, chosen, everything, yes, "forgets")
    return _tell(state, "discarded", selection.discard())


def _selection(app: Pynenc, chosen: dict[str, Any]) -> DeadLetters:
    hours = {name: None if chosen[name] is None else chosen[name] * 3_600 for name in ("older_than", "newer_than")}
    statuses = tuple(map(InvocationStatus, chosen["statuses"])) or (InvocationStatus.FAILED,)
    return app.dead_letters(
        queue=chosen["queue"], task_id=chosen["task_id"], reason=chosen["reason"], statuses=statuses, **hours
    )


def _asked(app: Pynenc, chosen: dict[str, Any], everything: bool, yes: bool, verb: str) -> DeadLetters:
    """Return what was chosen once the user has agreed."""
    if not everything and not any(value not in (None, ()) for value in chosen.values()):
        raise click.UsageError("say which: IDs, options that choose (--queue, --task, --reason, …), or --all")
    selection = _selection(app, chosen)
    if not yes:
        agree(app, f"{verb} {selection.count()} dead letters", yes=yes)
    return selection


def _act_on_ids(
    state: State,
    app: Pynenc,
    texts: Sequence[str],
    chosen: dict[str, Any],
    what: str,
    act: Callable[[Sequence[Any]], int],
) -> int:
    if any(value not in (None, ()) for value in chosen.values()):
        raise click.UsageError("give IDs or options that choose, not both")
    ids = find_ids(app, texts)
    for each in ids:
        app.dead_letters.get(id_text(each))
    return _tell(state, what, act(ids))


def _tell(state: State, what: str, number: int) -> int:
    if state.as_json:
        print_json({what: number})
    else:
        click.echo(f"{number} {what}")
    return 0


def _resubmit(state: State, app: Pynenc, texts: Sequence[str], changes: Iterable[str], keep_old: bool) -> int:
    if len(texts) != 1:
        raise click.UsageError("--set changes one call: give the ID of one dead letter")
    letter = app.dead_letters.get(id_text(find_id(app, texts[0])))
    try:
        again = app.dead_letters.resubmit(letter, keep_old=keep_old, **dict(map(_change, changes)))
    except TypeError as error:
        raise click.UsageError(str(error)) from error
    if state.as_json:
        print_json({"requeued": 1, "invocation_id": again.invocation_id, "instead_of": letter.invocation_id})
    else:
        click.echo(f"submitted as {again.invocation_id} in place of {letter.invocation_id}")
    return 0


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.UsageError(f"--set {text}: write NAME=JSON, as in amount=12 or 'to=\"ann\"'")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"--set {text}: {value!r} is no JSON ({error}); texts need quotes") from error


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "invocation_id": letter.invocation_id,
        "task_id": letter.task_id,
        "queue": letter.queue,
        "status": letter.status.value,
        "attempts": letter.attempts,
        "crashes": letter.crashes,
        "ended_at": letter.ended_at,
        "reason": letter.reason if len(letter.reason) <= 200 else letter.reason[:199] + "…",
    }
