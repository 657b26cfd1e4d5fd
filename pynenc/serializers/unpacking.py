"""From plain trees back to values. Trees are untrusted: only classes the registry resolves are built, without
running more of their code than `from_json`, hashing and defaults of fields."""

from __future__ import annotations

import base64
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from pynenc.errors import SerializationError
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.exception_parts import rebuild
from pynenc.serializers.object_unpacking import has_fields, rebuild_object, rebuild_pydantic
from pynenc.serializers.packing import FACTORIES, LONGEST_NUMBER, TAG


class Unpacker:
    """Unpacks one tree, which it may change."""

    __slots__ = ("_types",)

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
        except Exception as error:
            # Whatever made-up content provokes: wrong types and values, or what code of a known class raises.
            raise SerializationError(f"stored bytes do not describe a value: {type(error).__name__}") from error

    def _unpack(self, tree: Any) -> Any:
        kind = type(tree)
        if kind is dict:
            return self._tagged(tree) if TAG in tree else self._named(tree)
        return self._all(tree) if kind is list else tree

    def _named(self, tree: Any) -> dict[str, Any]:
        if type(tree) is not dict:
            raise SerializationError("stored bytes have something else where names and values belong")
        for name, item in tree.items():
            kind = type(item)
            if kind is dict or kind is list:
                tree[name] = self._unpack(item)
        return tree

    def _all(self, items: Any) -> list[Any]:
        if type(items) is not list:
            raise SerializationError("stored bytes have something else where a series belongs")
        for index, item in enumerate(items):
            kind = type(item)
            if kind is dict or kind is list:
                items[index] = self._unpack(item)
        return items

    def _tagged(self, tree: dict[str, Any]) -> Any:
        content = tree[TAG]
        if len(tree) != 1 or type(content) is not list or not content:
            raise SerializationError("stored bytes have a malformed tag")
        rebuild_kind = _KINDS.get(content[0]) if type(content[0]) is str else None
        if rebuild_kind is None:
            raise SerializationError(f"stored bytes have a value of unknown kind {content[0]!r:.50}")
        return rebuild_kind(self, *content[1:])

    def _pairs(self, pairs: Any) -> list[tuple[Any, Any]]:
        return [(self._unpack(key), self._unpack(value)) for key, value in pairs]

    def _int(self, tree: Any) -> int:
        number = self._unpack(tree)
        if type(number) is not int:
            raise SerializationError("stored bytes have something else where an integer belongs")
        return number

    def _bytes(self, tree: Any) -> bytes:
        data = self._unpack(tree)
        if type(data) is not bytes:
            raise SerializationError("stored bytes have something else where bytes belong")
        return data

    # --- classes ---

    def _class(self, name: Any, applies: Callable[[type], bool]) -> Any:
        found = self._types.resolve(name) if type(name) is str else None
        if found is None:
            raise SerializationError(
                f"stored bytes name the class {name!r:.200}, which this app does not know; if it is one of yours, "
                "use it in an annotation of a task or pass it to app.register_types(...)"
            )
        if not applies(found):
            raise SerializationError(f"stored bytes use the class {name!r:.200} as what it is not")
        return found

    def _enum(self, name: Any, member: Any) -> Any:
        cls = self._class(name, lambda found: issubclass(found, Enum))
        return cls.__members__[member]

    def _flag(self, name: Any, value: Any) -> Any:
        return self._class(name, lambda found: issubclass(found, Flag))(self._int(value))

    def _named_tuple(self, name: Any, items: Any) -> Any:
        cls = self._class(name, lambda found: issubclass(found, tuple) and hasattr(found, "_fields"))
        values = self._all(items)
        if len(values) != len(cls._fields):
            raise SerializationError(f"stored bytes have {len(values)} items for {name}, which has {len(cls._fields)}")
        return tuple.__new__(cls, values)

    def _object(self, name: Any, state: Any) -> Any:
        return rebuild_object(self._class(name, has_fields), self._named(state))

    def _pydantic(self, name: Any, state: Any, extra: Any, fields_set: Any, private: Any) -> Any:
        return rebuild_pydantic(
            self._class(name, lambda _: True),
            self._named(state),
            None if extra is None else self._named(extra),
            set(fields_set),
            None if private is None else self._named(private),
        )

    def _json(self, name: Any, data: Any) -> Any:
        return self._class(name, lambda found: callable(getattr(found, "from_json", None))).from_json(
            self._unpack(data)
        )

    def _exception(self, name: Any, args: Any, state: Any) -> Any:
        cls = self._class(name, lambda found: issubclass(found, BaseException))
        return rebuild(cls, self._all(args), self._named(state))


def _zone(zone: Any) -> tzinfo | None:
    if zone is None:
        return None
    if type(zone) is list:
        seconds, name = zone
        return timezone(timedelta(seconds=seconds), name)
    if type(zone) is not str:
        return UTC if zone == 0 else timezone(timedelta(seconds=zone))
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(zone)
    except (LookupError, ValueError, OSError) as error:
        raise SerializationError(f"this machine does not know the time zone {zone!r:.100}") from error


def _number(text: Any) -> str:
    if type(text) is not str or len(text) > LONGEST_NUMBER + 3:
        raise SerializationError("stored bytes have a number that is none, or too long")
    return text


def _datetime(_: Unpacker, text: str, zone: Any, fold: int) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold)


def _time(_: Unpacker, text: str, zone: Any, fold: int) -> time:
    return time.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold)


_KINDS: dict[str, Callable[..., Any]] = {
    "int": lambda _, text: int(_number(text), 16),
    "float": lambda _, text: float(_number(text)),
    "text": lambda _, digits: bytes.fromhex(digits).decode("utf-8", "surrogatepass"),
    "dict": lambda unpacker, pairs: dict(unpacker._pairs(pairs)),
    "odict": lambda unpacker, pairs: OrderedDict(unpacker._pairs(pairs)),
    "counter": lambda unpacker, pairs: Counter(dict(unpacker._pairs(pairs))),
    "defaultdict": lambda unpacker, name, pairs: defaultdict(FACTORIES[name], unpacker._pairs(pairs)),
    "tuple": lambda unpacker, items: tuple(unpacker._all(items)),
    "set": lambda unpacker, items: set(unpacker._all(items)),
    "frozenset": lambda unpacker, items: frozenset(unpacker._all(items)),
    "deque": lambda unpacker, items, most: deque(unpacker._all(items), most),
    "bytes": lambda _, text: base64.b64decode(text, validate=True),
    "bytearray": lambda unpacker, data: bytearray(unpacker._bytes(data)),
    "datetime": _datetime,
    "date": lambda _, text: date.fromisoformat(text),
    "time": _time,
    "timedelta": lambda unpacker, *parts: timedelta(*map(unpacker._int, parts)),
    "uuid": lambda _, text: UUID(text),
    "decimal": lambda _, text: Decimal(_number(text)),
    "fraction": lambda unpacker, above, below: Fraction(unpacker._int(above), unpacker._int(below)),
    "complex": lambda unpacker, real, imaginary: complex(unpacker._unpack(real), unpacker._unpack(imaginary)),
    "range": lambda unpacker, *limits: range(*map(unpacker._int, limits)),
    "slice": lambda unpacker, begin, end, step: slice(*map(unpacker._unpack, (begin, end, step))),
    "path": lambda unpacker, text: Path(unpacker._unpack(text)),
    "posixpath": lambda unpacker, text: PurePosixPath(unpacker._unpack(text)),
    "windowspath": lambda unpacker, text: PureWindowsPath(unpacker._unpack(text)),
    "enum": Unpacker._enum,
    "flag": Unpacker._flag,
    "namedtuple": Unpacker._named_tuple,
    "object": Unpacker._object,
    "pydantic": Unpacker._pydantic,
    "json": Unpacker._json,
    "exception": Unpacker._exception,
}
