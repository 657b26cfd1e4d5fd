"""`pynenc status render`."""

from __future__ import annotations

import click

from pynenc.cli.context import State, print_json, with_state


@click.group()
def status() -> None:
    """The life of an invocation."""


@status.command()
@click.option("--format", "form", type=click.Choice(["text", "svg"]), default="text", show_default=True)
@with_state
def render(state: State, form: str) -> None:
    """Draw statuses and transitions."""
    from pynenc.model.lifecycle import render_svg, render_text

    drawing = render_svg() if form == "svg" else render_text()
    if state.as_json:
        print_json({"format": form, "drawing": drawing})
    else:
        click.echo(drawing)
