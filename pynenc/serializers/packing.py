"""From values to trees of plain types that keep everything: what a plain tree cannot say, a tag says.

Plain: None, bool, int of 64 bits, finite float, str, list, dict with str keys. Anything else becomes
`{"$": [kind, …]}`; so does a dictionary that has the key `$` itself.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

import msgspec

from pynenc.errors import SerializationError
from pynenc.serializers.json_serializable import JsonSerializable
from pynenc.serializers.names import name_of

TAG = "$"
MAX_DEPTH = 200
_INT64 = 2**63


class Packer:
    """Packs one value; knows where in it it is.

    Args:
        binary: whether the format keeps bytes as they are; else they are written as base64.
    """

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._path: list[str] = []

    def pack(self, value: Any) -> Any:
        """Return the plain tree of `value`.

        Raises:
            SerializationError: a part cannot be kept exactly; names it by path.
        """
        cls = value.__class__
        if cls is str or cls is bool or value is None:
            return value
        pack = _BY_TYPE.get(cls)
        return pack(self, value) if pack is not None else self._pack_other(value)

    def refuse(self, why: str) -> SerializationError:
        """Return the error for the part being packed."""
        return SerializationError(why, path="".join(self._path).lstrip("."))

    def _inside(self, step: str, value: Any) -> Any:
        if value.__class__ is str or value.__class__ is bool or value is None:
            return value
        if len(self._path) >= MAX_DEPTH:
            raise self.refuse(f"nested more than {MAX_DEPTH} deep, or contains itself")
        self._path.append(step)
        packed = self.pack(value)
        self._path.pop()
        return packed

    def _items(self, values: Any) -> list[Any]:
        return [self._inside(f"[{index}]", value) for index, value in enumerate(values)]

    # --- plain types ---

    def _int(self, value: int) -> Any:
        return value if -_INT64 <= value < _INT64 else {TAG: ["int", hex(value)]}

    def _float(self, value: float) -> Any:
        return value if math.isfinite(value) else {TAG: ["float", repr(value)]}

    def _list(self, value: list[Any]) -> Any:
        return self._items(value)

    def _dict(self, value: dict[Any, Any]) -> Any:
        for key in value:
            if key.__class__ is not str or key == TAG:
                return {TAG: ["dict", self._pairs(value)]}
        return {key: self._inside(f".{key}", item) for key, item in value.items()}

    def _pairs(self, value: Any) -> list[Any]:
        return [
            [self._inside(f"(key {key!r:.50})", key), self._inside(f"[{key!r:.50}]", item)]
            for key, item in value.items()
        ]

    # --- what needs a tag ---

    def _bytes(self, value: bytes) -> Any:
        if self._binary:
            return value
        import base64

        return {TAG: ["bytes", base64.b64encode(value).decode("ascii")]}

    def _zone(self, zone: tzinfo | None) -> Any:
        if zone is None:
            return None
        if zone.__class__ is timezone:
            return zone.utcoffset(None).total_seconds()
        key = getattr(zone, "key", None)
        if isinstance(key, str) and type(zone).__module__.startswith("zoneinfo"):
            return key
        raise self.refuse(f"the time zone {zone!r} cannot be kept; use datetime.timezone or zoneinfo.ZoneInfo")

    def _datetime(self, value: datetime) -> Any:
        return {TAG: ["datetime", value.replace(tzinfo=None).isoformat(), self._zone(value.tzinfo), value.fold]}

    def _time(self, value: time) -> Any:
        return {TAG: ["time", value.replace(tzinfo=None).isoformat(), self._zone(value.tzinfo), value.fold]}

    # --- classes ---

    def _pack_other(self, value: Any) -> Any:
        cls = type(value)
        for applies, pack in _BY_FAMILY:
            if applies(value):
                return pack(self, value)
        raise self.refuse(f"a value of type {cls.__module__}.{cls.__qualname__} cannot be kept")

    def _class(self, value: Any) -> str:
        cls = type(value)
        if "<locals>" in cls.__qualname__:
            raise self.refuse(f"{cls.__qualname__} is defined inside a function: other processes cannot find it")
        return name_of(cls)

    def _exception(self, value: BaseException) -> Any:
        state = {name: item for name, item in vars(value).items() if not name.startswith("__")}
        return {TAG: ["exception", self._class(value), self._items(value.args), self.pack(state)]}

    def _enum(self, value: Enum) -> Any:
        if value.name is not None and value.name in type(value).__members__:
            return {TAG: ["enum", self._class(value), value.name]}
        return {TAG: ["flag", self._class(value), self.pack(value.value)]}

    def _named_tuple(self, value: Any) -> Any:
        return {TAG: ["namedtuple", self._class(value), self._items(value)]}

    def _fields(self, kind: str, value: Any, names: list[str]) -> Any:
        state = {name: self._inside(f".{name}", getattr(value, name)) for name in names if hasattr(value, name)}
        return {TAG: [kind, self._class(value), state]}

    def _dataclass(self, value: Any) -> Any:
        names = [field.name for field in dataclass_fields(value)]
        extra = set(getattr(value, "__dict__", ())) - set(names)
        if extra:
            raise self.refuse(f"attribute {sorted(extra)[0]!r} is no field of dataclass {type(value).__qualname__}")
        return self._fields("object", value, names)

    def _struct(self, value: msgspec.Struct) -> Any:
        return self._fields("object", value, list(value.__struct_fields__))

    def _attrs(self, value: Any) -> Any:
        return self._fields("object", value, [each.name for each in type(value).__attrs_attrs__])

    def _pydantic(self, value: Any) -> Any:
        state = {name: self._inside(f".{name}", item) for name, item in value.__dict__.items()}
        extra = self.pack(value.__pydantic_extra__)
        return {TAG: ["pydantic", self._class(value), state, extra, sorted(value.__pydantic_fields_set__)]}

    def _json_serializable(self, value: Any) -> Any:
        return {TAG: ["json", self._class(value), self.pack(value.to_json())]}


def _is_pydantic(value: Any) -> bool:
    # Pydantic is not imported for this: who has a model has imported it.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _text(kind: str, write: Callable[[Any], str] = str) -> Callable[[Packer, Any], Any]:
    return lambda _, value: {TAG: [kind, write(value)]}


def _series(kind: str) -> Callable[[Packer, Any], Any]:
    return lambda packer, value: {TAG: [kind, packer._items(value)]}


_BY_TYPE: dict[type, Callable[[Packer, Any], Any]] = {
    int: Packer._int,
    float: Packer._float,
    list: Packer._list,
    dict: Packer._dict,
    tuple: _series("tuple"),
    set: _series("set"),
    frozenset: _series("frozenset"),
    deque: lambda packer, value: {TAG: ["deque", packer._items(value), value.maxlen]},
    OrderedDict: lambda packer, value: {TAG: ["odict", packer._pairs(value)]},
    bytes: Packer._bytes,
    bytearray: lambda packer, value: {TAG: ["bytearray", packer._bytes(bytes(value))]},
    datetime: Packer._datetime,
    date: _text("date", date.isoformat),
    time: Packer._time,
    timedelta: lambda _, value: {TAG: ["timedelta", value.days, value.seconds, value.microseconds]},
    UUID: _text("uuid"),
    Decimal: _text("decimal"),
    Fraction: _text("fraction"),
    complex: lambda packer, value: {TAG: ["complex", packer._float(value.real), packer._float(value.imag)]},
    range: lambda packer, value: {TAG: ["range", *map(packer._int, (value.start, value.stop, value.step))]},
}

_BY_FAMILY: tuple[tuple[Callable[[Any], bool], Callable[[Packer, Any], Any]], ...] = (
    (lambda value: isinstance(value, JsonSerializable) and not isinstance(value, type), Packer._json_serializable),
    (lambda value: isinstance(value, Enum), Packer._enum),
    (lambda value: isinstance(value, BaseException), Packer._exception),
    (lambda value: isinstance(value, PurePosixPath | PureWindowsPath), lambda p, v: {TAG: [_path_kind(v), str(v)]}),
    (lambda value: isinstance(value, tuple) and hasattr(value, "_fields"), Packer._named_tuple),
    (lambda value: is_dataclass(value) and not isinstance(value, type), Packer._dataclass),
    (lambda value: isinstance(value, msgspec.Struct), Packer._struct),
    (lambda value: hasattr(type(value), "__attrs_attrs__"), Packer._attrs),
    (_is_pydantic, Packer._pydantic),
)


def _path_kind(path: PurePath) -> str:
    return {"PurePosixPath": "posixpath", "PureWindowsPath": "windowspath"}.get(type(path).__name__, "path")
