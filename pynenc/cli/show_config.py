"""`pynenc show_config`."""

from __future__ import annotations

from collections.abc import Callable

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.tables import print_table


@click.command()
@with_state
def show_config(state: State) -> None:
    """Show every setting with its value and where it was written."""
    show(state, lambda _: True)


def show(state: State, wanted: Callable[[str], bool]) -> None:
    """Print the settings whose names are wanted."""
    views = [view for view in state.app().conf.describe() if wanted(view.name)]
    if state.as_json:
        print_json({view.name: {"value": view.value, "origin": view.origin, "doc": view.doc} for view in views})
        return
    print_table("settings", ["name", "value", "origin"], [(view.name, view.value, view.origin) for view in views])
