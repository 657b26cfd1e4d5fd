"""The mixed load: nine of ten bodies take 1 ms, one takes 500 ms, in random order. Standard library only."""

from __future__ import annotations

from random import Random

SHORT_S, LONG_S = 0.001, 0.5
LONG_SHARE = 0.1
SLOTS = 4


def lengths(tasks: int) -> list[float]:
    """Return how long each body takes, in the order of submission: the same for every system."""
    long = round(tasks * LONG_SHARE)
    found = [LONG_S] * long + [SHORT_S] * (tasks - long)
    Random(tasks).shuffle(found)
    return found


def ideal_s(each: list[float]) -> float:
    """Return the time that bodies need on all slots, each begun as soon as one is free, the longest first."""
    ends = [0.0] * SLOTS
    for length_s in sorted(each, reverse=True):
        ends[ends.index(min(ends))] += length_s
    return max(ends)
