"""What every command shares: the app, and how to answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_PIPE_WIDTH = 200

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class State:
    """Global options of one call of the command line."""

    app_location: str | None
    verbose: bool
    as_json: bool

    def app(self) -> Pynenc:
        """Return the app that `--app` names, or the only one of the folder."""
        from pynenc.cli.discovery import find_app

        return find_app(self.app_location)


def pass_json(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def with_state(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the `State` as its first argument and accept `--json` behind it as well."""
    from functools import wraps

    @pass_json
    @wraps(function)
    def command(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        ctx = click.get_current_context()
        state: State = ctx.obj
        state.as_json = state.as_json or as_json
        return ctx.invoke(function, state, *args, **kwargs)

    return command


def print_json(document: Any) -> None:
    """Print a document of plain values; instants become ISO 8601."""
    import json

    click.echo(json.dumps(document, default=_plain, ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return getattr(value, "value", None) or str(value)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under a title: through rich where it is installed, else in plain columns."""
    texts = [[_cell(value) for value in row] for row in rows]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        click.echo(plain_table(title, columns, texts))
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0)
    for row in texts:
        table.add_row(*row)
    # A pipe gets whole lines: nobody reads a table that was cut to an imagined width.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns of text."""
    lines = [list(columns), *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([title, text[0], "  ".join("-" * width for width in widths), *text[1:]])


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {_cell(value)}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
