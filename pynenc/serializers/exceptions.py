"""Exceptions: raised elsewhere, raised again here as near to themselves as possible."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pynenc.errors import RemoteTraceback, SerializationError, TaskFailed
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.exception_parts import rebuild, state_of
from pynenc.serializers.names import name_of

T = TypeVar("T")

_LONGEST_TRACEBACK = 64 * 1024
_LONGEST_MESSAGE = 16 * 1024
_LONGEST_PART = 256 * 1024
_LONGEST_SUBSTITUTE = 1_000
_MOST_PARTS = 100
_PARTS_BUDGET = 1024 * 1024


def encode_exception(error: BaseException, serializer: Serializer, types: TypeRegistry) -> bytes:
    """Return what is kept of an exception. Never raises, whatever the exception does when it is looked at.

    Type, message, traceback as text, and each argument and attribute that can be kept; up to about 1.2 MiB.
    """
    plain: dict[str, Any] = {
        "type": _safely(lambda: _clean(name_of(type(error))), "builtins:Exception"),
        "message": _safely(lambda: _cut(str(error), _LONGEST_MESSAGE), "<an exception whose text cannot be had>"),
        "traceback": _safely(lambda: _cut(_formatted(error), _LONGEST_TRACEBACK), ""),
        "args": [],
        "state": {},
    }
    parts = _Parts(serializer, types)
    record: dict[str, Any] = plain | {
        "args": _safely(lambda: [parts.kept(value) for value in error.args[:_MOST_PARTS]], list[Any]()),
        "state": _safely(lambda: parts.state(state_of(error).items()), dict[str, Any]()),
    }
    return _safely(lambda: serializer.encode(record), None) or serializer.encode(plain)


class _Parts:
    """Keeps parts of one exception within a common budget."""

    def __init__(self, serializer: Serializer, types: TypeRegistry) -> None:
        self._serializer = serializer
        self._types = types
        self._left = _PARTS_BUDGET

    def kept(self, value: Any) -> list[Any]:
        """Return [True, value] if a value can be kept and read again, else [False, its text]."""
        return _safely(lambda: self._kept(value), None) or [False, self._substitute(value)]

    def _kept(self, value: Any) -> list[Any] | None:
        data = self._serializer.encode(value)
        if len(data) > min(_LONGEST_PART, self._left):
            return None
        self._serializer.decode(data, self._types)
        self._left -= len(data)
        return [True, value]

    def _substitute(self, value: Any) -> str:
        return _safely(lambda: _cut(repr(value), _LONGEST_SUBSTITUTE), f"<{type(value).__name__}>")

    def state(self, items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """Return the attributes that can be kept."""
        state = {}
        for name, value in list(items)[:_MOST_PARTS]:
            kept = self.kept(value)
            if kept[0]:
                state[_clean(name)] = kept
        return state


def decode_exception(data: bytes, serializer: Serializer, types: TypeRegistry) -> BaseException:
    """Return an exception like the one that was raised, with the remote traceback as its cause.

    A `TaskFailed` that tells type, message and traceback stands for one whose class this process does not know, and
    for those that end or steer the program that raises them (`SystemExit`, `KeyboardInterrupt`, `CancelledError`).

    Raises:
        SerializationError: the bytes are no exception.
    """
    record = serializer.decode(data, types)
    if not isinstance(record, dict) or not all(isinstance(record.get(key), str) for key in ("type", "message")):
        raise SerializationError("stored bytes are not an exception")
    text = str(record.get("traceback", ""))
    error = _rebuilt(record, types)
    if error is None:
        error = TaskFailed(record["type"].replace(":", "."), record["message"], text)
    error.__cause__ = RemoteTraceback(text)
    return error


def _rebuilt(record: dict[str, Any], types: TypeRegistry) -> BaseException | None:
    cls = types.resolve(record["type"])
    if cls is None or not issubclass(cls, Exception):
        return None
    try:
        args = [value if kept else f"<{value}>" for kept, value in record["args"]]
        return rebuild(cls, args, {name: value for name, (_, value) in record["state"].items()})
    except Exception:  # noqa: BLE001 - made-up content, or a class that refuses to be built
        return None


def _formatted(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _safely(look: Callable[[], T], otherwise: T) -> T:
    try:
        return look()
    except BaseException:  # noqa: BLE001 - __str__, __repr__, args of users may raise anything, SystemExit too
        return otherwise


def _cut(text: str, most: int) -> str:
    text = _clean(text)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n… {len(text) - most} characters left out …\n{text[-most // 2 :]}"


def _clean(text: str) -> str:
    """Return a plain text; what cannot be written as UTF-8 is replaced."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
