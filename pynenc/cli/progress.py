"""Shows how far a long command is: through rich in a terminal that has it, as lines in one without, nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

Show = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


@contextmanager
def progress() -> Iterator[Show]:
    """Give a function that shows progress on standard error."""
    bar = _rich_bar() if sys.stderr.isatty() else None
    if bar is None:
        yield _Lines().show if sys.stderr.isatty() else _nowhere
        return
    with bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)


class _Lines:
    """Prints each new thing that is done."""

    def __init__(self) -> None:
        self._what = ""

    def show(self, what: str, _done: int, _total: int) -> None:
        if what != self._what:
            self._what = what
            click.echo(f"{what} …", err=True)


def _nowhere(_what: str, _done: int, _total: int) -> None:
    """Show nothing: a program reads what is printed."""


def _rich_bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
