"""How figures are written in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def shown(value: float) -> str:
    """Return a number for people: three digits, or thousands with commas."""
    if abs(value) >= 100 or (isinstance(value, int) and not isinstance(value, bool)):
        return f"{value:,.0f}"
    if value == 0:
        return "0"
    # Three digits without an exponent: figures go down to thousandths.
    digits = 2 if abs(value) >= 1 else 3
    text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text."""
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
