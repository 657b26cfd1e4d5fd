"""A progress bar: with rich if it is installed and there is a terminal, else a line of text now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar(Protocol):
    """Shows how far the census is."""

    def show(self, done: int) -> None:
        """Show how many files are done."""

    def say(self, text: str) -> None:
        """Print a line without disturbing the bar."""


@contextmanager
def progress_bar(total: int) -> Iterator[Bar]:
    """Show a bar for the time of a block."""
    if sys.stdout.isatty():
        try:
            from rich import progress as rich
        except ImportError:
            pass
        else:
            columns = (rich.TextColumn("counting"), rich.BarColumn(60), rich.MofNCompleteColumn())
            with rich.Progress(*columns, rich.TimeElapsedColumn()) as progress:
                yield _RichBar(progress, total)
            return
    yield _TextBar(total)


class _RichBar:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("counting", total=total)

    def show(self, done: int) -> None:
        self._progress.update(self._task, completed=done)

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)


class _TextBar:
    _EVERY_S = 1.0

    def __init__(self, total: int) -> None:
        self._total = total
        self._begin = self._last = time.monotonic()
        self._width = len(str(total))

    def show(self, done: int) -> None:
        now = time.monotonic()
        if done < self._total and now - self._last < self._EVERY_S:
            return
        self._last = now
        filled = 30 * done // max(1, self._total)
        bar = "#" * filled + "." * (30 - filled)
        print(f"  [{bar}] {done:>{self._width}}/{self._total} files, {now - self._begin:.1f} s", flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)
