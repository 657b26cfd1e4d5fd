"""Ranks as stores compute with them: `band * BAND_UNIT + key`, the lowest first."""

from __future__ import annotations

BAND_UNIT = 2**44
MOST_INHERITING = 256
"""Of what a waiter waits for, directly or not, so many are looked at to take its place."""


def before(rank: int) -> int:
    """Return the place just before a rank."""
    return max(0, rank - 1)
