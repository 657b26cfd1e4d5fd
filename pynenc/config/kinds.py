"""Kinds of values that settings and options take, and how people write them.

A kind turns what stands in code, an environment variable or a file into the value the engine works with. It raises
ValueError for anything else; who asked adds the name, the source and `expected` to the message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum
from typing import Any

from msgspec import Struct

LONGEST_DURATION_S = 100 * 366 * 86_400.0
MAX_NAME = 200

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
_NOTHING = frozenset({"", "none", "null", "never"})


class Kind(Struct, frozen=True):
    """How a value is read, and how to say what is expected."""

    expected: str
    convert: Callable[[Any], Any]
    deferred: bool = False
    """Reading it may import user code: not to be done while the app is being defined."""


def whole(at_least: int = 0, at_most: int | None = None) -> Kind:
    """A whole number."""

    def convert(value: Any) -> int:
        number = _whole(value)
        if number < at_least or (at_most is not None and number > at_most):
            raise ValueError("out of range")
        return number

    bounds = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
    return Kind(f"a whole number {bounds}", convert)


def number(at_least: float | None = None, at_most: float | None = None, *, above: float | None = None) -> Kind:
    """A finite number."""

    def convert(value: Any) -> float:
        found = _number(value)
        if (
            (at_least is not None and found < at_least)
            or (at_most is not None and found > at_most)
            or (above is not None and found <= above)
        ):
            raise ValueError("out of range")
        return found

    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("of at least", at_least), ("above", above), ("of at most", at_most))
        if bound is not None
    ]
    return Kind(" ".join(["a number", " and ".join(bounds)]).strip(), convert)


def duration(*, above_zero: bool = False) -> Kind:
    """Seconds, a timedelta, or a text with units; kept as seconds."""

    def convert(value: Any) -> float:
        total = getattr(value, "total_seconds", None)
        seconds = float(total()) if callable(total) else _seconds(value)
        if seconds < 0 or seconds > LONGEST_DURATION_S or (above_zero and seconds == 0):
            raise ValueError("out of range")
        return seconds

    positive = "positive " if above_zero else ""
    return Kind(f"a {positive}duration: a number of seconds, a timedelta, or a text such as 90s, 2min or 1.5h", convert)


def optional(kind: Kind) -> Kind:
    """The same, or None (in text: nothing, `none` or `never`)."""

    def convert(value: Any) -> Any:
        if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return None
        return kind.convert(value)

    return Kind(f"{kind.expected}, or None", convert, kind.deferred)


def one_of(choices: type[Enum]) -> Kind:
    """A member of an enum, or its name or value in any case."""

    def convert(value: Any) -> Enum:
        if isinstance(value, choices):
            return value
        if isinstance(value, str):
            for member in choices:
                if value.strip().lower() in (member.name.lower(), str(member.value).lower()):
                    return member
        raise ValueError("no such choice")

    return Kind("one of " + ", ".join(str(member.value) for member in choices), convert)


def word_of(*words: str) -> Kind:
    """One of a few words, in any case."""

    def convert(value: Any) -> str:
        found = value.strip().lower() if isinstance(value, str) else None
        if found not in words:
            raise ValueError("no such choice")
        return found

    return Kind("one of " + ", ".join(words), convert)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("neither true nor false")


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError("a truth value")
    if isinstance(value, str):
        return int(value.strip().replace("_", ""))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return value
    raise ValueError("not a whole number")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("not a number")
    found = float(value)
    if not math.isfinite(found):
        raise ValueError("not a finite number")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _path(value: Any) -> str:
    path = value.__fspath__() if hasattr(value, "__fspath__") else value
    return _text(path)


def _class_name(value: Any) -> str:
    """Take a class for its name: `runner_cls = ThreadRunner`."""
    name = value.__name__ if isinstance(value, type) else value
    if not isinstance(name, str) or not name.strip():
        raise ValueError("not a name")
    return name.strip()


def _names(value: Any) -> tuple[str, ...]:
    """Take a list, tuple or set of names, or text: JSON, or names with commas between."""
    if isinstance(value, str):
        value = _split(value)
    if not isinstance(value, Iterable) or isinstance(value, (bytes, dict)):
        raise ValueError("not a list")
    names = sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("not all of them are names")
    return tuple(names)


def _split(text: str) -> list[Any]:
    text = text.strip()
    if text.startswith(("[", '"')):
        import json

        found = json.loads(text)
        return found if isinstance(found, list) else [found]
    bare = text.strip("(){}")
    return [part.strip().strip("'\"") for part in bare.split(",") if part.strip()]


def _plain_name(forbidden: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        name = _text(value)
        if not name or len(name) > MAX_NAME or not name.isprintable() or any(c in name for c in forbidden):
            raise ValueError("not allowed as a name")
        return name

    return convert


_queue_name = _plain_name(":")


def _limits(value: Any) -> dict[str, int]:
    if isinstance(value, str) and value.strip().startswith("{"):
        import json

        value = json.loads(value)
    elif isinstance(value, str):
        value = _split(value)
    if not isinstance(value, dict):
        parts = [str(part).rpartition(":") for part in value]
        value = {name: limit for name, _, limit in parts}
    return {_queue_name(name.strip()): whole(1).convert(limit) for name, limit in value.items()}


def _schedulers(value: Any) -> Any:
    """Take the name of a scheduler or its class, or one for each queue: a mapping, JSON, or mail=priority, *=fifo."""
    if isinstance(value, str) and (value.strip().startswith("{") or "=" in value):
        value = _pairs(value)
    if not isinstance(value, dict):
        return _class_name(value)
    return {queue if queue == "*" else _queue_name(queue): _class_name(name) for queue, name in value.items()}


def _pairs(value: Any) -> dict[str, Any]:
    """Take a mapping from names, or text: JSON, or name=value with commas between."""
    if isinstance(value, str) and value.strip().startswith("{"):
        import json

        value = json.loads(value)
    elif isinstance(value, str):
        parts = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(middle for _, middle, _ in parts):
            raise ValueError("not all of them are name=value")
        value = {name.strip(): text.strip() for name, _, text in parts}
    if not isinstance(value, dict) or not all(isinstance(name, str) and name for name in value):
        raise ValueError("not a mapping from names")
    return value


def _rules(value: Any) -> dict[str, float]:
    return {pattern: PRIORITY.convert(priority) for pattern, priority in _pairs(value).items()}


def _deadline(value: Any) -> float | datetime:
    """Take an instant with a time zone, also as text, or a duration."""
    if isinstance(value, str) and _INSTANT.match(value.strip()):
        value = datetime.fromisoformat(value.strip())
    return _instant(value) if isinstance(value, datetime) else duration(above_zero=True).convert(value)


def _instant(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime):
        raise ValueError("not an instant")
    if value.utcoffset() is None:
        raise ValueError("it has no time zone: say datetime(..., tzinfo=UTC), or a text such as 2026-01-31T08:00+01:00")
    return value


def _exceptions(value: Any) -> tuple[type[BaseException], ...]:
    if isinstance(value, str):
        value = _split(value)
    found = [value] if isinstance(value, type) else list(value)
    return tuple(_exception(item) for item in found)


def _exception(value: Any) -> type[BaseException]:
    if isinstance(value, str):
        import importlib

        module, _, name = value.rpartition(".")
        try:
            value = getattr(importlib.import_module(module or "builtins"), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{value} cannot be imported: {error}") from error
    if not isinstance(value, type) or not issubclass(value, BaseException):
        raise ValueError("not an exception class")
    return value


def _key(value: Any) -> Any:
    if callable(value) or (isinstance(value, str) and value):
        return value
    raise ValueError("neither a text nor a function")


_INSTANT = re.compile(r"\d{4}-\d\d-\d\d")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*")


def _seconds(value: Any) -> float:
    """Take a number of seconds, or a text of numbers with units: 500ms, 2min, 1h 30min."""
    if not isinstance(value, str):
        return _number(value)
    text = value.strip().lower()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text):
        return _number(value)
    return sum(float(amount) * _SECONDS[unit] for amount, unit in parts)


_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def _size(value: Any) -> int:
    """Take a number of bytes, or a text with a unit: 300MB, 1.5 GiB; units are powers of 1,024."""
    if not isinstance(value, str):
        found = _whole(value)
    else:
        text = value.strip().lower().replace("_", "")
        digits = text.rstrip("bikmgt ")
        unit = text[len(digits) :].strip().removesuffix("b").removesuffix("i")
        if unit not in _UNITS:
            raise ValueError("no such unit")
        found = round(float(digits) * _UNITS[unit])
    if not 0 < found < 2**63:
        raise ValueError("out of range")
    return found


FLAG = Kind("true or false (also yes/no, on/off, 1/0)", _flag)
TEXT = Kind("a text", _text)
PATH = Kind("a path", _path)
CLASS_NAME = Kind("the name of a class", _class_name)
NAMES = Kind("a list of names (JSON, or with commas between)", _names)
APP_ID = Kind(f"a printable name of 1 to {MAX_NAME} characters without slashes", _plain_name("/\\"))
QUEUE = Kind(f"a printable queue name of 1 to {MAX_NAME} characters without ':'", _queue_name)
QUEUES = Kind(
    f"a list of queue names, each printable, of 1 to {MAX_NAME} characters, without ':'",
    lambda value: tuple(_queue_name(name) for name in _names(value)),
)
PRIORITY = number(-100, 100)
PRIORITY_RULES = Kind(
    'patterns of task ids with a priority from -100 to 100 each, as in reports.*=-10 or {"reports.*": -10}', _rules
)
SCHEDULER = Kind(
    "the name of a scheduler or module:Class, or one for each queue, as in mail=priority, *=fifo or "
    '{"mail": "priority"}',
    _schedulers,
)
INSTANT = Kind("an instant with a time zone: a datetime, or a text such as 2026-01-31T08:00+01:00", _instant)
DEADLINE = Kind(
    "a positive duration from the call on (a number of seconds, a timedelta, or a text such as 90s), or an instant "
    "with a time zone: a datetime, or a text such as 2026-01-31T08:00+01:00",
    _deadline,
)
QUEUE_LIMITS = Kind('queue names with a whole number of at least 1 each, as in mail:2 or {"mail": 2}', _limits)
EXCEPTIONS = Kind("exception classes, or their full names as module.Class", _exceptions, deferred=True)
SIZE = Kind("a size above zero: a number of bytes, or a text such as 300MB or 1.5GB", _size)
KEY = Kind("a text, or a function of the arguments", _key)
BATCH = Kind("a whole number (0 or 1: one by one)", lambda value: max(1, whole().convert(value)))
SEVERAL = Kind("one or a list", lambda value: None if isinstance(value, (list, tuple)) and not value else value)
ANYTHING = Kind("any value", lambda value: value)
