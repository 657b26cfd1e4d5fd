"""`pynenc migrate`: bring the store's schema to this release."""

from __future__ import annotations

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.io import run


@click.command()
@click.option(
    "--post",
    is_flag=True,
    help="Also take away what only older releases need: run it once no runner and client of them is left.",
)
@with_state
def migrate(state: State, post: bool) -> None:
    """Create or complete what this release keeps in the store. Safe while runners of the release before are up.

    Opening a store does the same without --post, so this is for deployments whose runners may not change schemas.
    """
    app = state.app()
    done = run(app.backend.migrate(post=post))
    if state.as_json:
        print_json({"store": app.backend.url, "done": done})
    else:
        click.echo("\n".join(done) if done else f"{app.backend.url} is up to date")
