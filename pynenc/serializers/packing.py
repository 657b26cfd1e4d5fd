"""From values to trees of plain types that keep everything: what a plain tree cannot say, a tag says.

Plain: None, bool, int of 64 bits, finite float, str, list, dict with str keys. Anything else becomes
`{"$": [kind, …]}`; so does a dictionary that has the key `$` itself. Kinds and shapes, with examples, are in
`protocol/vectors/values.json`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from pynenc.errors import SerializationError

TAG = "$"
MAX_DEPTH = 100
MOST_EXCEPTIONS = 100_000
LONGEST_NUMBER = 100_000
"""Digits up to which numbers are kept."""
FACTORIES: dict[str, type | None] = {
    "": None,
    **{kind.__name__: kind for kind in (bool, int, float, str, bytes, list, tuple, dict, set, frozenset)},
}
"""What a kept defaultdict may make new values with."""

_INT64 = 2**63
_LEAVES = frozenset({str, bool, type(None)})
_LONGEST_PATH = 20
_MISSING = object()
_CHECKED_LEVELS = 4
"""Levels whose parts are first looked at for being plain throughout: most are, and then nothing is built."""


def is_plain(value: Any, depth: int) -> bool:
    """Whether a list or dictionary is its own plain tree, at most `depth` deep."""
    if depth <= 0:
        return False
    if type(value) is dict:
        if TAG in value:
            return False
        for key in value:
            if type(key) is not str:
                return False
        value = value.values()
    for item in value:
        kind = type(item)
        if kind is str or kind in _LEAVES:
            continue
        if kind is int:
            if not -_INT64 <= item < _INT64:
                return False
        elif kind is float:
            if not isfinite(item):
                return False
        elif (kind is not dict and kind is not list) or not is_plain(item, depth - 1):
            return False
    return True


class Refusal(Exception):
    """Some part cannot be kept; `steps` leads to it, innermost first, and grows on the way out."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.steps: list[str] = []

    def as_error(self) -> SerializationError:
        """Return what callers get to see."""
        steps = self.steps[::-1]
        path = "".join(steps[:_LONGEST_PATH]).lstrip(".") + ("…" if len(steps) > _LONGEST_PATH else "")
        return SerializationError(str(self), path=path)


class Packer:
    """Packs one value.

    Args:
        binary: whether the format keeps bytes as they are; else they are written as base64.
    """

    __slots__ = ("_binary", "_depth", "_exceptions")

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._depth = 0
        self._exceptions = 0

    def pack(self, value: Any) -> Any:
        """Return the plain tree of `value`.

        Raises:
            Refusal: a part cannot be kept exactly.
        """
        # Not `value.__class__`, which values may pretend.
        kind = type(value)
        if (
            (kind is list or kind is dict)
            and self._depth < _CHECKED_LEVELS
            and is_plain(value, MAX_DEPTH - self._depth)
        ):
            return value
        pack = _BY_TYPE.get(kind)
        if pack is not None:
            return pack(self, value)
        from pynenc.serializers.object_packing import pack_object

        return pack_object(self, value)

    def items(self, values: Any) -> list[Any]:
        """Return the trees of the items of a series."""
        packed: list[Any] = []
        self._enter()
        try:
            for item in values:
                kind = type(item)
                if kind in _LEAVES or (kind is int and -_INT64 <= item < _INT64):
                    packed.append(item)
                else:
                    packed.append(self.pack(item))
        except Refusal as refusal:
            refusal.steps.append(f"[{len(packed)}]")
            raise
        self._depth -= 1
        return packed

    def named(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the trees of named values, by name."""
        packed: dict[str, Any] = {}
        self._enter()
        name = ""
        try:
            for name, item in values.items():
                kind = type(item)
                if kind in _LEAVES or (kind is int and -_INT64 <= item < _INT64):
                    packed[name] = item
                else:
                    packed[name] = self.pack(item)
        except Refusal as refusal:
            refusal.steps.append(f".{name}" if name.isidentifier() else f"[{name!r:.50}]")
            raise
        self._depth -= 1
        return packed

    def pairs(self, mapping: dict[Any, Any]) -> list[Any]:
        """Return the trees of keys and values of any mapping, in its order."""
        packed: list[Any] = []
        self._enter()
        for key, item in mapping.items():
            tree = _MISSING
            try:
                tree = self.pack(key)
                packed.append([tree, self.pack(item)])
            except Refusal as refusal:
                refusal.steps.append(f"(key {label(key)})" if tree is _MISSING else f"[{label(key)}]")
                raise
        self._depth -= 1
        return packed

    def members(self, values: Any) -> list[Any]:
        """Return the trees of the members of a set, in an order that depends on nothing but them."""
        packed = []
        self._enter()
        for item in values:
            try:
                packed.append(self.pack(item))
            except Refusal as refusal:
                refusal.steps.append(f"{{{label(item)}}}")
                raise
        self._depth -= 1
        packed.sort(key=repr)
        return packed

    def converted(self, value: Any) -> Any:
        """Return the tree of what a value says stands for it."""
        self._enter()
        tree = self.pack(value)
        self._depth -= 1
        return tree

    def count_exception(self) -> None:
        """Refuse exceptions without end: each may hold the same other ones in `args` and in attributes."""
        self._exceptions += 1
        if self._exceptions > MOST_EXCEPTIONS:
            raise Refusal(f"more than {MOST_EXCEPTIONS} exceptions, or some that hold the same ones again and again")

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Refusal(f"nested more than {MAX_DEPTH} deep, or contains itself")

    def mapping(self, value: dict[Any, Any]) -> Any:
        """Return the tree of a dictionary."""
        if TAG in value or not set(map(type, value)) <= {str}:
            return {TAG: ["dict", self.pairs(value)]}
        return self.named(value)

    def bytes(self, value: bytes) -> Any:
        """Return the tree of bytes."""
        if self._binary:
            return value
        import base64

        return {TAG: ["bytes", base64.b64encode(value).decode("ascii")]}


def label(value: Any) -> str:
    """Return a short text for a key or member, whatever it does when it is shown."""
    try:
        return f"{value!r:.50}"
    except Exception:  # noqa: BLE001 - __repr__ of users
        return f"<{type(value).__name__}>"


def _int(_: Packer, value: int) -> Any:
    if -_INT64 <= value < _INT64:
        return value
    if value.bit_length() > 4 * LONGEST_NUMBER:
        raise Refusal(f"a number of more than {LONGEST_NUMBER} hexadecimal digits cannot be kept")
    return {TAG: ["int", hex(value)]}


def _float(_: Packer, value: float) -> Any:
    return value if isfinite(value) else {TAG: ["float", repr(value)]}


def _decimal(_: Packer, value: Decimal) -> Any:
    text = str(value)
    if len(text) > LONGEST_NUMBER:
        raise Refusal(f"a number of more than {LONGEST_NUMBER} digits cannot be kept")
    return {TAG: ["decimal", text]}


def _zone(zone: tzinfo | None) -> Any:
    """None, the seconds of an offset (with its name if it has one), or the key of a zone."""
    if zone is None:
        return None
    if type(zone) is timezone:
        seconds = zone.utcoffset(None).total_seconds()
        seconds = int(seconds) if seconds.is_integer() else seconds
        named = zone.__getinitargs__()[1:]  # type: ignore[attr-defined]
        return [seconds, *named] if named else seconds
    if type(zone).__module__.partition(".")[0] == "zoneinfo" and _has_key(zone):
        return zone.key  # type: ignore[attr-defined]
    raise Refusal(f"the time zone {label(zone)} cannot be kept; use datetime.timezone or zoneinfo.ZoneInfo")


def _has_key(zone: tzinfo) -> bool:
    """Whether a ZoneInfo is what its key names: one read from a file may bear any key, and cannot be pickled either."""
    try:
        zone.__reduce__()
    except Exception:  # noqa: BLE001 - pickle.PicklingError, without importing pickle
        return False
    return True


def _moment(kind: str) -> Callable[[Packer, Any], Any]:
    def pack(_: Packer, value: Any) -> Any:
        return {TAG: [kind, value.replace(tzinfo=None).isoformat(), _zone(value.tzinfo), value.fold]}

    return pack


def _defaultdict(packer: Packer, value: defaultdict[Any, Any]) -> Any:
    for name, factory in FACTORIES.items():
        if value.default_factory is factory:
            return {TAG: ["defaultdict", name, packer.pairs(value)]}
    raise Refusal("a defaultdict is kept only if built-in types or nothing make its values; pass dict(...) of it")


def _text(kind: str, write: Callable[[Any], str] = str) -> Callable[[Packer, Any], Any]:
    return lambda _, value: {TAG: [kind, write(value)]}


def _series(kind: str) -> Callable[[Packer, Any], Any]:
    return lambda packer, value: {TAG: [kind, packer.items(value)]}


def _limits(kind: str) -> Callable[[Packer, Any], Any]:
    return lambda packer, value: {TAG: [kind, *packer.items((value.start, value.stop, value.step))]}


_BY_TYPE: dict[type, Callable[[Packer, Any], Any]] = {
    type(None): lambda _, value: value,
    bool: lambda _, value: value,
    str: lambda _, value: value,
    int: _int,
    float: _float,
    list: Packer.items,
    dict: Packer.mapping,
    tuple: _series("tuple"),
    set: lambda packer, value: {TAG: ["set", packer.members(value)]},
    frozenset: lambda packer, value: {TAG: ["frozenset", packer.members(value)]},
    deque: lambda packer, value: {TAG: ["deque", packer.items(value), value.maxlen]},
    OrderedDict: lambda packer, value: {TAG: ["odict", packer.pairs(value)]},
    Counter: lambda packer, value: {TAG: ["counter", packer.pairs(value)]},
    defaultdict: _defaultdict,
    bytes: Packer.bytes,
    bytearray: lambda packer, value: {TAG: ["bytearray", packer.bytes(bytes(value))]},
    datetime: _moment("datetime"),
    date: _text("date", date.isoformat),
    time: _moment("time"),
    timedelta: lambda _, value: {TAG: ["timedelta", value.days, value.seconds, value.microseconds]},
    UUID: _text("uuid"),
    Decimal: _decimal,
    Fraction: lambda packer, value: {TAG: ["fraction", *packer.items((value.numerator, value.denominator))]},
    complex: lambda packer, value: {TAG: ["complex", *packer.items((value.real, value.imag))]},
    range: _limits("range"),
    slice: _limits("slice"),
    type(Path()): _text("path"),
    PurePosixPath: _text("posixpath"),
    PureWindowsPath: _text("windowspath"),
}


def escape_surrogates(tree: Any) -> Any:
    """Return a packed tree in which texts that UTF-8 cannot say (lone surrogates) are kept behind a tag."""
    kind = type(tree)
    if kind is str:
        return tree if _is_utf8(tree) else {TAG: ["text", tree.encode("utf-8", "surrogatepass").hex()]}
    if kind is list:
        return [escape_surrogates(item) for item in tree]
    if kind is not dict:
        return tree
    if all(map(_is_utf8, tree)):
        return {key: escape_surrogates(item) for key, item in tree.items()}
    return {TAG: ["dict", [[escape_surrogates(key), escape_surrogates(item)] for key, item in tree.items()]]}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
