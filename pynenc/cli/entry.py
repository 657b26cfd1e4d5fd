"""The `pynenc` command: global options, sub-commands that are imported when they are called, exit codes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from pynenc import __version__
from pynenc.cli.context import State, pass_json
from pynenc.errors import (
    ConfigurationError,
    InvocationNotFound,
    PynencError,
    StoreError,
    TaskNotFound,
)

EXIT_CODES = """\b
Exit codes:
  0  done
  1  done, with findings or failures (doctor, run, tail, cancel and retry of
     what cannot be cancelled or retried, simulate of nothing)
  2  wrong usage or configuration
  3  the store cannot be reached or refuses
  4  no such invocation or task"""

_COMMANDS = {
    "run": ("pynenc.cli.run", "run"),
    "dev": ("pynenc.cli.dev", "dev"),
    "runner": ("pynenc.cli.runner", "runner"),
    "show_config": ("pynenc.cli.show_config", "show_config"),
    "invocations": ("pynenc.cli.invocations", "invocations"),
    "dead": ("pynenc.cli.dead", "dead"),
    "why": ("pynenc.cli.invocations", "why"),
    "queues": ("pynenc.cli.queues", "queues"),
    "limits": ("pynenc.cli.limits", "limits"),
    "metrics": ("pynenc.cli.metrics", "metrics"),
    "pause": ("pynenc.cli.queues", "pause"),
    "resume": ("pynenc.cli.queues", "resume"),
    "purge": ("pynenc.cli.purge", "purge"),
    "simulate": ("pynenc.cli.simulate", "simulate"),
    "doctor": ("pynenc.cli.doctor", "doctor"),
    "move": ("pynenc.cli.move", "move"),
    "migrate": ("pynenc.cli.migrate", "migrate"),
    "bench": ("pynenc.cli.bench", "bench"),
    "status": ("pynenc.cli.status", "status"),
    "monitor": ("pynenc.cli.coming", "monitor"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home = _COMMANDS.get(cmd_name)
        if home is None:
            return None
        command: click.Command = getattr(import_module(home[0]), home[1])
        return command


@click.group(cls=LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--app",
    "app_location",
    metavar="APP",
    help="MODULE, MODULE.app, MODULE:app or FILE.py[:app]; not needed beside one app.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks and debug messages.")
@pass_json
@click.version_option(__version__, prog_name="pynenc")
@click.pass_obj
def cli(state: State, app_location: str | None, verbose: bool, as_json: bool) -> None:
    """Task management for distributed orchestration."""
    state.app_location = app_location
    state.verbose = verbose
    state.as_json = as_json


def run_command_line(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; errors of this package are one clear line each."""
    state = State()
    try:
        code: Any = cli.main(arguments, prog_name="pynenc", standalone_mode=False, obj=state)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PynencError as error:
        _tell(error, verbose=state.verbose)
        sys.exit(exit_code(error))
    sys.exit(code if isinstance(code, int) else 0)


def exit_code(error: PynencError) -> int:
    """Return the documented exit code of an error."""
    match error:
        case InvocationNotFound() | TaskNotFound():
            return 4
        case ConfigurationError():
            return 2
        case StoreError():
            return 3
        case _:
            return 1


def _tell(error: PynencError, *, verbose: bool) -> None:
    if verbose:
        import traceback

        traceback.print_exception(error)
    else:
        click.echo(f"error: {error}", err=True)
