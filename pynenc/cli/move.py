"""`pynenc move`: everything of an app, from one store into another."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.progress import progress
from pynenc.composition import identity_of, open_backend
from pynenc.core.moving import Move, Moved
from pynenc.errors import ConfigurationError, StoreError
from pynenc.io import run
from pynenc.ports.backend import Backend

if TYPE_CHECKING:
    from pynenc.app import Pynenc


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for runners and clients to end, also for the leases of those that died.",
)
@click.option("--abandon", is_flag=True, help="Take an unfinished move back: TO is emptied, FROM is open again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state
def move(state: State, source: str, target: str, wait_s: float, abandon: bool, yes: bool) -> None:
    """Carry waiting, delayed and finished work of the app from the store at the URL FROM into the empty one at TO.

    Nothing may run meanwhile: stop all runners and clients first. Until it is complete both stores refuse all work, and
    afterwards FROM does, naming TO. If it is interrupted, the same command goes on where it stopped.
    """
    app_id = state.app().app_id
    with ExitStack() as opened:
        out, into = (opened.enter_context(closing(_open(url, app_id))) for url in (source, target))
        if abandon:
            Move(out, into).abandon()
            _tell(state, out, into, None)
            return
        _confirm(f"everything of app {app_id!r} from {out.url} to {into.url}", yes=yes)
        moved = _carry(out, into, wait_s)
        _hand_over(state.app(), out, into)
        _tell(state, out, into, moved)


def _hand_over(app: Pynenc, out: Backend, into: Backend) -> None:
    """Tell the client data store, if the app has one of its own, where the references to its values are now."""
    hand_over = getattr(app.data_store_apart, "hand_over", None)
    if hand_over is None:
        return
    try:
        run(hand_over(identity_of(out), identity_of(into)))
    except (StoreError, ConfigurationError) as error:
        click.echo(f"the client data store was not told, `pynenc doctor` says what to do then: {error}", err=True)


def _open(url: str, app_id: str) -> Backend:
    backend = open_backend(url, app_id=app_id)
    if not backend.capabilities.across_processes:
        raise ConfigurationError(f"{backend.url} lives in one process only: there is nothing to move from or to")
    return backend


def _confirm(what: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"this moves {what}: add --yes")
    click.confirm(f"Move {what}?", abort=True, err=True)


def _carry(out: Backend, into: Backend, wait_s: float) -> Moved:
    try:
        with progress() as show:
            return Move(out, into, wait_s=wait_s, report=show).carry()
    except KeyboardInterrupt:
        click.echo("stopped: the same command goes on from here, with --abandon it takes the move back", err=True)
        raise


def _tell(state: State, out: Backend, into: Backend, moved: Moved | None) -> None:
    if state.as_json:
        numbers = {"abandoned": True} if moved is None else {"invocations": moved.invocations, "data": moved.data}
        print_json({"from": out.url, "to": into.url, **numbers})
    elif moved is None:
        click.echo(f"taken back: {out.url} is open again, {into.url} is empty")
    else:
        click.echo(f"{moved.invocations} invocations are in {into.url} now; point the app to it (PYNENC_URL)")
