"""From plain trees back to values. Trees are untrusted: only classes the registry resolves are built, without
running more of their code than restoring fields takes."""

from __future__ import annotations

import base64
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

import msgspec

from pynenc.errors import SerializationError
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.json_serializable import JsonSerializable
from pynenc.serializers.packing import TAG

_LONGEST_NUMBER = 100_000


class Unpacker:
    """Unpacks one tree."""

    def __init__(self, types: TypeRegistry) -> None:
        self._types = types

    def unpack(self, tree: Any) -> Any:
        """Return the value a tree stands for.

        Raises:
            SerializationError: the tree is malformed or names a class the registry does not know.
        """
        try:
            return self._unpack(tree)
        except SerializationError:
            raise
        except RecursionError as error:
            raise SerializationError("stored bytes are nested too deeply") from error
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
            raise SerializationError(f"stored bytes do not describe a value: {error}") from error

    def _unpack(self, tree: Any) -> Any:
        cls = tree.__class__
        if cls is dict:
            if TAG in tree:
                return self._tagged(tree)
            return {key: self._unpack(value) for key, value in tree.items()}
        return [self._unpack(item) for item in tree] if cls is list else tree

    def _tagged(self, tree: dict[str, Any]) -> Any:
        content = tree[TAG]
        if len(tree) != 1 or content.__class__ is not list or not content:
            raise SerializationError("stored bytes have a malformed tag")
        rebuild = _KINDS.get(content[0]) if content[0].__class__ is str else None
        if rebuild is None:
            raise SerializationError(f"stored bytes have a value of unknown kind {content[0]!r:.50}")
        return rebuild(self, *content[1:])

    def _all(self, items: Any) -> list[Any]:
        if items.__class__ is not list:
            raise SerializationError("stored bytes have something else where a series belongs")
        return [self._unpack(item) for item in items]

    def _mapping(self, pairs: Any) -> list[tuple[Any, Any]]:
        return [(self._unpack(key), self._unpack(value)) for key, value in pairs]

    # --- classes ---

    def _class(self, name: Any) -> type:
        found = self._types.resolve(name) if name.__class__ is str else None
        if found is None:
            raise SerializationError(
                f"stored bytes name the class {name!r:.200}, which this app does not know; if it is one of yours, "
                "use it in an annotation of a task or pass it to app.register_types(...)"
            )
        return found

    def _expect(self, name: Any, applies: Callable[[type], bool]) -> Any:
        cls = self._class(name)
        if not applies(cls):
            raise SerializationError(f"stored bytes use the class {name!r:.200} as what it is not")
        return cls

    def _enum(self, name: Any, member: Any) -> Any:
        return self._expect(name, lambda cls: issubclass(cls, Enum))[member]

    def _flag(self, name: Any, value: Any) -> Any:
        return self._expect(name, lambda cls: issubclass(cls, Enum))(self._unpack(value))

    def _named_tuple(self, name: Any, items: Any) -> Any:
        cls = self._expect(name, lambda found: issubclass(found, tuple) and hasattr(found, "_fields"))
        return tuple.__new__(cls, _exactly(self._all(items), len(cls._fields)))

    def _object(self, name: Any, state: Any) -> Any:
        cls = self._expect(name, _has_fields)
        if issubclass(cls, msgspec.Struct):
            return cls(**{key: self._unpack(value) for key, value in state.items()})
        allowed = _field_names(cls)
        rebuilt = cls.__new__(cls)
        for key, value in state.items():
            if key not in allowed:
                raise SerializationError(f"stored bytes give {name} the unknown field {key!r:.100}")
            object.__setattr__(rebuilt, key, self._unpack(value))
        return rebuilt

    def _pydantic(self, name: Any, state: Any, extra: Any, fields_set: Any) -> Any:
        pydantic = sys.modules.get("pydantic")
        cls = self._expect(name, lambda found: pydantic is not None and issubclass(found, pydantic.BaseModel))
        values = {key: self._unpack(value) for key, value in state.items() if key in cls.model_fields}
        values.update(self._unpack(extra) or {})
        return cls.model_construct(set(fields_set), **values)

    def _json(self, name: Any, data: Any) -> Any:
        cls: Any = self._expect(name, lambda found: issubclass(found, JsonSerializable))
        return cls.from_json(self._unpack(data))

    def _exception(self, name: Any, args: Any, state: Any) -> Any:
        cls = self._expect(name, lambda found: issubclass(found, BaseException))
        rebuilt = cls.__new__(cls, *self._all(args))
        rebuilt.args = tuple(self._all(args))
        for key, value in self._unpack(state).items():
            if not key.startswith("__") or key == "__notes__":
                rebuilt.__dict__[key] = value
        return rebuilt


def _exactly(items: list[Any], number: int) -> list[Any]:
    if len(items) != number:
        raise SerializationError(f"stored bytes have {len(items)} items where {number} belong")
    return items


def _has_fields(cls: type) -> bool:
    return is_dataclass(cls) or issubclass(cls, msgspec.Struct) or hasattr(cls, "__attrs_attrs__")


def _field_names(cls: Any) -> set[str]:
    if is_dataclass(cls):
        return set(cls.__dataclass_fields__)
    return {each.name for each in cls.__attrs_attrs__}


def _zone(zone: Any) -> tzinfo | None:
    if zone is None:
        return None
    if isinstance(zone, str):
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(zone)
        except ZoneInfoNotFoundError as error:
            raise SerializationError(f"this machine does not know the time zone {zone!r:.100}") from error
    return UTC if zone == 0 else timezone(timedelta(seconds=zone))


def _number(text: Any) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST_NUMBER:
        raise SerializationError("stored bytes have a number that is none, or too long")
    return text


def _decimal(_: Unpacker, text: Any) -> Decimal:
    try:
        return Decimal(_number(text))
    except InvalidOperation as error:
        raise SerializationError(f"stored bytes have the decimal {text!r:.50}") from error


_KINDS: dict[str, Callable[..., Any]] = {
    "int": lambda _, text: int(_number(text), 16),
    "float": lambda _, text: float(_number(text)),
    "dict": lambda unpacker, pairs: dict(unpacker._mapping(pairs)),
    "odict": lambda unpacker, pairs: OrderedDict(unpacker._mapping(pairs)),
    "tuple": lambda unpacker, items: tuple(unpacker._all(items)),
    "set": lambda unpacker, items: set(unpacker._all(items)),
    "frozenset": lambda unpacker, items: frozenset(unpacker._all(items)),
    "deque": lambda unpacker, items, most: deque(unpacker._all(items), most),
    "bytes": lambda _, text: base64.b64decode(text, validate=True),
    "bytearray": lambda unpacker, data: bytearray(unpacker._unpack(data)),
    "datetime": lambda _, text, zone, fold: datetime.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold),
    "date": lambda _, text: date.fromisoformat(text),
    "time": lambda _, text, zone, fold: time.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold),
    "timedelta": lambda _, days, seconds, us: timedelta(days, seconds, us),
    "uuid": lambda _, text: UUID(text),
    "decimal": _decimal,
    "fraction": lambda _, text: Fraction(_number(text)),
    "complex": lambda unpacker, real, imaginary: complex(unpacker._unpack(real), unpacker._unpack(imaginary)),
    "range": lambda unpacker, *limits: range(*map(unpacker._unpack, limits)),
    "path": lambda _, text: Path(text),
    "posixpath": lambda _, text: PurePosixPath(text),
    "windowspath": lambda _, text: PureWindowsPath(text),
    "enum": Unpacker._enum,
    "flag": Unpacker._flag,
    "namedtuple": Unpacker._named_tuple,
    "object": Unpacker._object,
    "pydantic": Unpacker._pydantic,
    "json": Unpacker._json,
    "exception": Unpacker._exception,
}
