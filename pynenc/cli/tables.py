"""How the command line shows things: through rich in a terminal that has it, in plain columns everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under a title. What is piped gets plain columns, however wide: nobody reads a cut table."""
    texts = [[cell(value) for value in row] for row in rows]
    if not (sys.stdout.isatty() and _print_rich_table(title, columns, texts)):
        click.echo(plain_table(title, columns, texts))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {cell(value)}")


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns of text."""
    lines = [list(columns), *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    text = ["  ".join(each.ljust(width) for each, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([title, text[0], "  ".join("-" * width for width in widths), *text[1:]])


def cell(value: Any) -> str:
    """Return a value as one line of printable text: stored text must neither break a row nor steer a terminal."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def printable(text: str, *, keep: str = "") -> str:
    """Return text with its control characters escaped, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else repr(each)[1:-1] for each in text)


@contextmanager
def screen() -> Iterator[Callable[[str], None]]:
    """Give a function that shows a picture in place of the one before; without rich, each that differs from it."""
    live = _rich_screen() if sys.stdout.isatty() else None
    if live is None:
        yield _Changes().show
        return
    from rich.text import Text

    with live:
        yield lambda picture: live.update(Text(picture), refresh=True)


class _Changes:
    """Prints what is new."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, picture: str) -> None:
        if picture != self._shown:
            self._shown = picture
            click.echo(picture)


def _print_rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        # As Text, because a cell with [brackets] is no markup.
        table.add_row(*map(Text, row))
    Console().print(table)
    return True


def _rich_screen() -> Any:
    try:
        from rich.live import Live
    except ImportError:
        return None
    return Live(auto_refresh=False)
