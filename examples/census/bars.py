"""Bar charts: the largest modules, and the names that most files import."""

from __future__ import annotations

from collections.abc import Sequence

from examples.census.counting import FileCount
from examples.census.svg import drawing, element, text, title

_ROW = 25
_BAR = 15


def largest_modules(files: Sequence[FileCount], number: int = 20) -> str:
    """Draw the modules with the most lines."""
    largest = sorted(files, key=lambda file: (-file.lines, file.path))[:number]
    rows = [
        (
            file.module,
            file.lines,
            f"{file.lines:,}",
            f"{file.functions:,} functions · {file.classes:,} classes · {file.branches:,} branches",
        )
        for file in largest
    ]
    return _bars(rows, width=1060, names=250, notes=330, label="The largest modules by lines")


def most_imported(importers: Sequence[tuple[str, int]]) -> str:
    """Draw how many files import a name."""
    rows = [(name, number, f"{number:,}", "") for name, number in importers]
    return _bars(rows, width=380, names=105, notes=0, label="The most imported names by importing files")


def _bars(rows: Sequence[tuple[str, int, str, str]], *, width: float, names: float, notes: float, label: str) -> str:
    longest = max((value for _, value, _, _ in rows), default=1)
    room = width - names - notes - 62
    parts: list[str] = []
    for index, (name, value, shown, note) in enumerate(rows):
        y = index * _ROW
        size = max(2.0, room * value / longest)
        middle = y + _BAR / 2 + 7.5
        bar = element("rect", x=names, y=y + 3, width=size, height=_BAR, rx=3, class_="bar")
        hint = title(f"{name}: {shown} lines · {note}" if note else f"{name}: {shown} files")
        parts.append(
            element(
                "g",
                hint
                + text(name, names - 10, middle, text_anchor="end", class_="name")
                + bar
                + text(shown, names + size + 8, middle, class_="value")
                + (text(note, width, middle, text_anchor="end", class_="note") if note else ""),
            )
        )
    return drawing(width, len(rows) * _ROW, parts, label=label)
