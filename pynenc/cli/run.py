"""`pynenc run`: a script with a runner beside it."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, with_state
from pynenc.errors import ConfigurationError

if TYPE_CHECKING:
    from pynenc.app import Pynenc


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@with_state
def run(state: State, file: str, arguments: Sequence[str]) -> int:
    """Run the script FILE with a thread runner beside it, and drain it at the end.

    What stands behind FILE belongs to the script. The runner imports FILE as a module, as every other runner does, so
    what the script does has to stand under `if __name__ == "__main__":`.
    """
    path = Path(file).resolve()
    app = _app_of(state, path)
    app.conf.runner_cls = "ThreadRunner"
    sys.argv = [file, *arguments]
    with app.running():
        return _perform(path)


def _app_of(state: State, path: Path) -> Pynenc:
    from pynenc.cli.discovery import find_app, has_main_guard, makes_an_app

    if state.app_location is not None or not makes_an_app(path):
        return state.app()
    if not has_main_guard(path):
        raise ConfigurationError(
            f"{path.name} makes an app, and a runner has to import it: "
            'put what the script does under if __name__ == "__main__":'
        )
    app = find_app(str(path))
    if not app.backend.capabilities.across_processes:
        raise ConfigurationError(
            f"the store {app.backend.url} of {path.name} cannot be shared with a runner beside the script; "
            "use a sqlite:/// store, or app.running() in the script"
        )
    return app


def _perform(path: Path) -> int:
    try:
        runpy.run_path(str(path), run_name="__main__")
    except Exception as error:  # noqa: BLE001 - the script's own error, shown as Python would
        _print_from_script(error, str(path))
        return 1
    return 0


def _print_from_script(error: Exception, path: str) -> None:
    """Print a traceback that begins in the script: what ran it is of no interest."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    traceback.print_exception(error.with_traceback(trace or error.__traceback__))
