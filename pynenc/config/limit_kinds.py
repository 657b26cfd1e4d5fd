"""Kinds of values of the options that limit tasks: limits, rates, breakers, orders and keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pynenc.config.kinds import Kind, duration
from pynenc.errors import InvalidTaskOptionsError
from pynenc.limits import BREAKER_EXPECTED, RATE_EXPECTED, Breaker, By, Limit, Order, Rate, interval_us

_BURST = re.compile(r"(.*?)\s+burst\s+(\d+)")


def _several(value: Any) -> list[Any]:
    """Return the items of a list, or of a text with commas between; one item for one."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, Iterable) else [value]


def _limits(value: Any) -> tuple[Limit, ...]:
    if isinstance(value, dict):
        return tuple(Limit(name, _whole(limit)) for name, limit in value.items())
    return tuple(_limit(each) for each in _several(value))


def _limit(value: Any) -> Limit:
    if isinstance(value, Limit):
        return value
    name, middle, at_once = str(value).rpartition(":")
    if not middle:
        raise ValueError(f"{value!r} has no name")
    return Limit(name.strip(), _whole(at_once))


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, str) else value


def _rates(value: Any) -> tuple[Rate, ...]:
    return tuple(_rate(each) for each in _several(value))


def _rate(value: Any) -> Rate:
    if isinstance(value, Rate):
        return value
    if not isinstance(value, str):
        raise ValueError("neither a text nor a Rate")
    found = _BURST.fullmatch(value.strip())
    rate, burst = (found[1], int(found[2])) if found else (value.strip(), 1)
    interval_us(rate)
    return Rate(rate, burst)


def _breaker(value: Any) -> Breaker:
    if isinstance(value, Breaker):
        given = value
    else:
        parts = list(value.values()) if isinstance(value, dict) and [*value] == ["failures", "open_for"] else value
        parts = _several(parts)
        if len(parts) != 2:
            raise ValueError("not two things")
        given = Breaker(_whole(parts[0]), parts[1])
    seconds = duration(above_zero=True).convert(given.open_for)
    return Breaker(given.failures, seconds, given.name, given.drop)


def _by(value: Any) -> By:
    if callable(value):
        return value  # type: ignore[no-any-return]  # a function of the user
    names = tuple(_several(value))
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("not all of them are names")
    return names


def _order(value: Any) -> By | Order:
    return value if isinstance(value, Order) else _by(value)


def _kind(expected: str, convert: Callable[[Any], Any]) -> Kind:
    """Return a kind; what the limits themselves refuse is told with the name of the option and its source."""

    def checked(value: Any) -> Any:
        try:
            return convert(value)
        except InvalidTaskOptionsError as error:
            raise ValueError(str(error)) from error

    return Kind(expected, checked)


LIMITS = _kind('limits by name: Limit("db", 5), a list of such, or a text such as db:5, gpu:1', _limits)
RATES = _kind(f"{RATE_EXPECTED}; with burst 20 behind it; a Rate, or a list of such", _rates)
BREAKER = _kind(BREAKER_EXPECTED, _breaker)
KEY_OF_ARGUMENTS = _kind("the name of an argument, several names, or a function of the arguments", _by)
ORDER = _kind(f"{KEY_OF_ARGUMENTS.expected}, or an Order", _order)
