"""Exceptions: raised elsewhere, raised again here as near to themselves as possible."""

from __future__ import annotations

import traceback
from typing import Any

from pynenc.errors import RemoteTraceback, SerializationError, TaskFailed
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.names import name_of

_LONGEST_TRACEBACK = 64 * 1024
_LONGEST_MESSAGE = 16 * 1024
_LONGEST_PART = 256 * 1024


def encode_exception(error: BaseException, serializer: Serializer, types: TypeRegistry) -> bytes:
    """Return what is kept of an exception. Never raises, whatever the exception does when it is looked at.

    Type, message, traceback as text, and each argument and attribute that can be kept.
    """
    record = {
        "type": _safely(lambda: name_of(type(error)), "builtins:Exception"),
        "message": _cut(_safely(lambda: _text(error), "<an exception whose text cannot be had>"), _LONGEST_MESSAGE),
        "traceback": _cut(_safely(lambda: _formatted(error), ""), _LONGEST_TRACEBACK),
        "args": [_kept(serializer, types, each) for each in _safely(lambda: list(error.args), [])],
        "state": {
            _clean(str(name)): kept
            for name, value in _safely(lambda: dict(vars(error)), {}).items()
            if (kept := _kept(serializer, types, value))[0]
        },
    }
    return serializer.encode(record)


def decode_exception(data: bytes, serializer: Serializer, types: TypeRegistry) -> BaseException:
    """Return an exception like the one that was raised, with the remote traceback as its cause.

    One whose class this process does not know becomes a `TaskFailed` that tells type, message and traceback.

    Raises:
        SerializationError: the bytes are no exception.
    """
    record = serializer.decode(data, types)
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise SerializationError("stored bytes are not an exception")
    text = str(record.get("traceback", ""))
    error = _rebuilt(record, types)
    if error is None:
        error = TaskFailed(record["type"].replace(":", "."), str(record.get("message", "")), text)
    error.__cause__ = RemoteTraceback(text)
    return error


def _rebuilt(record: dict[str, Any], types: TypeRegistry) -> BaseException | None:
    cls = types.resolve(record["type"])
    if cls is None or not issubclass(cls, BaseException):
        return None
    try:
        args = [value if kept else f"<{value}>" for kept, value in record["args"]]
        error = cls.__new__(cls, *args)
        error.args = tuple(args)
        for name, (_, value) in record["state"].items():
            if not name.startswith("__") or name == "__notes__":
                error.__dict__[name] = value
    except Exception:  # noqa: BLE001 - classes of users may refuse to be built
        return None
    return error


def _kept(serializer: Serializer, types: TypeRegistry, value: Any) -> list[Any]:
    """Return [True, value] if a value can be kept and read again, else [False, its text]."""
    try:
        data = serializer.encode(value)
        if len(data) <= _LONGEST_PART:
            serializer.decode(data, types)
            return [True, value]
    except Exception:  # noqa: BLE001 - values of users; whatever happens, the exception is kept
        pass
    return [False, _cut(_safely(lambda: repr(value), f"<{type(value).__name__}>"), 1_000)]


def _text(error: BaseException) -> str:
    return str(error)


def _formatted(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _safely(look: Any, otherwise: Any) -> Any:
    try:
        return look()
    except Exception:  # noqa: BLE001 - __str__, __repr__ and args of users may raise
        return otherwise


def _cut(text: str, most: int) -> str:
    text = _clean(text)
    return (
        text
        if len(text) <= most
        else f"{text[: most // 2]}\n… {len(text) - most} characters left out …\n{text[-most // 2 :]}"
    )


def _clean(text: str) -> str:
    """Replace what cannot be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
