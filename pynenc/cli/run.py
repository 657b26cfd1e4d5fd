"""`pynenc run`: a script with a runner beside it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pynenc.cli.context import State, with_state


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@with_state
def run(state: State, file: str, arguments: Sequence[str]) -> None:
    """Run the script FILE with a thread runner beside it, and drain it at the end.

    The runner runs the tasks of the app that FILE makes, in the same process.
    """
    from pynenc.cli.discovery import find_app

    path = Path(file).resolve()
    sys.argv = [file, *arguments]
    app = find_app(str(path))
    with app.running():
        runpy.run_path(str(path), run_name="__main__")
