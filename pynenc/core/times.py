"""Instants and durations as sentences say them."""

from __future__ import annotations

from datetime import UTC, datetime


def instant_text(at_us: int) -> str:
    """Return an instant, in microseconds since the Unix epoch, to the second."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration_text(us: int) -> str:
    """Return a duration in the unit that fits it."""
    seconds = max(0.0, us / 1_000_000)
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
