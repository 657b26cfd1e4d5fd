"""Limits as users write them: how many at once, how often, in which order, and what failures close.

    db = Limit("db", 5)

    @app.task(limits=db, rate_limit=Rate("100/min", by="account"))
    def charge(account: str, amount: int) -> None: ...

Each of them stands before every call of the tasks that name it. What it stops waits; with `drop=True` it ends
CONCURRENCY_CONTROLLED_FINAL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

from msgspec import Struct

from pynenc.errors import InvalidTaskOptionsError

By: TypeAlias = str | tuple[str, ...] | Callable[..., Any]
"""What a key is made of: the name of an argument, several names, or a function of the arguments; () for no key."""

ORDER_SUFFIX = ":order"
"""Tells the gate of an order from a limit of the same name."""
UNITS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
MOST_PER_SECOND = 10_000
RATE_EXPECTED = "a rate: a text such as 10/s, 100/min, 1000/h, 1/d or 30/10s"
BREAKER_EXPECTED = 'how many failures in a row stop it for how long: Breaker(5, "30s"), (5, "30s") or a text: 5, 30s'

_WORDS = {
    **dict.fromkeys(("s", "sec", "second"), "s"),
    **dict.fromkeys(("m", "min", "minute"), "min"),
    **dict.fromkeys(("h", "hour"), "h"),
    **dict.fromkeys(("d", "day"), "d"),
}
_RATE = re.compile(r"(\d+)\s*/\s*(\d*)\s*([a-z]+)")


class Limit(Struct, frozen=True):
    """At most so many at a time, over all tasks that name it.

    Attributes:
        name: what they share it by.
        at_once: how many, at least 1.
        by: so many for each value of these arguments; (): over all.
        drop: whether what it stops ends instead of waiting.
        hold_while_waiting: whether a run that waits for others keeps its place, and lends it to what it submitted.
    """

    name: str
    at_once: int
    by: By = ()
    drop: bool = False
    hold_while_waiting: bool = False

    def __post_init__(self) -> None:
        _check_name("Limit", self.name)
        _check_whole(f"Limit({self.name!r})", "at_once", self.at_once)
        _check_by(f"Limit({self.name!r})", self.by)


class Rate(Struct, frozen=True):
    """So many starts in a time, evenly: `"100/min"` is one each 0.6 s.

    In any stretch of time as long as its period at most so many start, and `burst - 1` more. Source of the rule: GCRA,
    the generic cell rate algorithm (ITU-T I.371).

    Attributes:
        rate: `"10/s"`, `"100/min"`, `"1000/h"`, `"1/d"` or `"30/10s"`.
        burst: how many may start at once after a pause, at least 1.
        name: tasks that name it share it; None: of the task alone.
        by: so many for each value of these arguments; (): over all.
        drop: whether what it stops ends instead of waiting.
    """

    rate: str
    burst: int = 1
    name: str | None = None
    by: By = ()
    drop: bool = False

    def __post_init__(self) -> None:
        shown = f"Rate({self.rate!r})"
        try:
            interval_us(self.rate)
        except ValueError as error:
            raise InvalidTaskOptionsError(f"{shown}: it is not {RATE_EXPECTED} ({error})") from None
        if self.name is not None:
            _check_name("Rate", self.name)
        _check_whole(shown, "burst", self.burst)
        _check_by(shown, self.by)


class Breaker(Struct, frozen=True):
    """After so many failed attempts in a row nothing starts for a while; then one run tries whether all is well again.

    Attributes:
        failures: how many, at least 1.
        open_for: for how long nothing starts: seconds, a timedelta or a text such as `"30s"`.
        name: tasks that name it share it; None: of the task alone.
        drop: whether what it stops ends instead of waiting.
    """

    failures: int
    open_for: float | timedelta | str
    name: str | None = None
    drop: bool = False

    def __post_init__(self) -> None:
        if self.name is not None:
            _check_name("Breaker", self.name)
        _check_whole("Breaker", "failures", self.failures)


class Order(Struct, frozen=True):
    """One at a time for each key, strictly in the order of the calls, whatever tasks they are of.

    Attributes:
        name: what tasks share it by.
        by: what the key is made of.
    """

    name: str
    by: By

    def __post_init__(self) -> None:
        _check_name("Order", self.name)
        _check_by(f"Order({self.name!r})", self.by)


def interval_us(rate: str) -> int:
    """Return how far apart starts of a rate are, rounded up: it is never exceeded.

    Raises:
        ValueError: it is none.
    """
    found = _RATE.fullmatch(rate.strip().lower()) if isinstance(rate, str) else None
    if found is None:
        raise ValueError("not a number of starts, a slash and a time")
    count, times, word = int(found[1]), int(found[2] or 1), found[3]
    unit = _WORDS.get(word, _WORDS.get(word.removesuffix("s")))
    if unit is None:
        raise ValueError(f"{word!r} is none of s, min, h, d")
    if count < 1 or times < 1:
        raise ValueError("below 1")
    period_us = times * UNITS_US[unit]
    if count * 1_000_000 > MOST_PER_SECOND * period_us:
        raise ValueError(f"more than {MOST_PER_SECOND}/s")
    return -(-period_us // count)


def rate_text(interval: int) -> str:
    """Return how people write the rate of an interval in microseconds: the inverse of `interval_us`."""
    for unit, unit_us in UNITS_US.items():
        count = round(unit_us / interval)
        if count >= 1 and -(-unit_us // count) == interval:
            return f"{count}/{unit}"
    return f"1/{interval / 1_000_000:g}s"


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable() or "#" in name:
        raise InvalidTaskOptionsError(
            f"{kind}: the name {name!r} is not a printable text of 1 to 200 characters without '#'"
        )


def _check_whole(what: str, field: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**40:
        raise InvalidTaskOptionsError(f"{what}: {field}={value!r} is not a whole number of at least 1")


def _check_by(what: str, by: object) -> None:
    if isinstance(by, str) and by:
        return
    if callable(by) or (isinstance(by, tuple) and all(isinstance(name, str) and name for name in by)):
        return
    raise InvalidTaskOptionsError(
        f"{what}: by={by!r} is not the name of an argument, a tuple of names, or a function of the arguments"
    )
