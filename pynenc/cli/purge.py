"""`pynenc purge`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.errors import ConfigurationError, StoreError
from pynenc.io import run
from pynenc.model.records import ListFilter
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_PAGE = 1_000


@click.command()
@click.option("--final-only", is_flag=True, help="Only invocations that have ended.")
@click.option(
    "--older-than", type=click.FloatRange(0), metavar="HOURS", help="Only those that ended so long ago or longer."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state
def purge(state: State, final_only: bool, older_than: float | None, yes: bool) -> None:
    """Forget invocations: all of them, or only ended ones. They cannot be had back."""
    app = state.app()
    final_only = final_only or older_than is not None
    what = "ended invocations" if final_only else "ALL invocations, live ones too,"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"this forgets {what} of app {app.app_id!r}: add --yes")
        click.confirm(f"Forget {what} of app {app.app_id!r}?", abort=True, err=True)
    number = _purge_final(app, older_than or 0.0) if final_only else run(app.backend.state_backend.purge(None))
    values, complaint = _collect(app)
    if state.as_json:
        print_json({"purged": number, **({"values_removed": values} if app.data_store_apart else {})})
        return
    click.echo(f"{number} invocations forgotten")
    if complaint:
        click.echo(f"their large values are still there: {complaint}", err=True)
    elif app.data_store_apart is not None:
        click.echo(f"{values} large values removed; what was written lately follows within two days")


def _collect(app: Pynenc) -> tuple[int, str]:
    """Remove large values that nothing names any more; return how many, and what kept this from being done."""
    try:
        return app.collect_client_data(), ""
    except (StoreError, ConfigurationError) as error:
        return 0, str(error)


def _purge_final(app: Pynenc, older_than_h: float) -> int:
    latest_us = int((time.time() - older_than_h * 3_600) * 1_000_000)
    final = tuple(status for status in InvocationStatus if status.is_final())
    purged, before = 0, None
    while True:
        page = run(app.backend.state_backend.listing(ListFilter(statuses=final, before=before, limit=_PAGE)))
        old = [
            each.call.invocation_id
            for each in page
            if each.outcome is not None and each.outcome.ended_at_us <= latest_us
        ]
        purged += run(app.backend.state_backend.purge(old))
        if len(page) < _PAGE:
            return purged
        before = page[-1].call.invocation_id
