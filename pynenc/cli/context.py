"""What every command shares: the app, and whether a program reads the answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pynenc.app import Pynenc

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class State:
    """Global options of one call of the command line."""

    app_location: str | None = None
    verbose: bool = False
    as_json: bool = False

    def app(self) -> Pynenc:
        """Return the app that `--app` names, or the only one of the folder."""
        from pynenc.cli.discovery import find_app

        return find_app(self.app_location)


def pass_json(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def with_state(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the `State` as its first argument and accept `--json` behind it as well."""

    @pass_json
    @wraps(function)
    def command(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        ctx = click.get_current_context()
        state: State = ctx.obj
        state.as_json = state.as_json or as_json
        return ctx.invoke(function, state, *args, **kwargs)

    return command


def agree(app: Pynenc, what: str, *, yes: bool) -> None:
    """Ask whether something that cannot be undone shall be done; where nobody can be asked, `--yes` has to say so."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"this {what} of app {app.app_id!r}: add --yes")
    click.confirm(f"This {what} of app {app.app_id!r}. Go on?", abort=True, err=True)


def print_json(document: Any, *, lines: bool = False) -> None:
    """Print a document of plain values, with `lines` on one line; instants become ISO 8601."""
    import json

    click.echo(json.dumps(document, default=_plain, ensure_ascii=False, indent=None if lines else 2))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value.value if isinstance(value, Enum) else str(value)
