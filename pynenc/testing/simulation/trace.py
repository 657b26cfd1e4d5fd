"""Operations as a person reads them in a trace."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pynenc.testing.simulation.history import Applied


def describe(record: Applied) -> str:
    """Return one line about an operation and what came of it."""
    arguments = ", ".join(_text(argument) for argument in record.arguments)
    options = "".join(f", {name}={_text(value)}" for name, value in record.options.items())
    came = record.error if record.error is not None else _text(record.reply)
    return f"{record.who}: {record.operation}({arguments}{options}) -> {came}"


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return short(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, Struct):
        return _struct(value)
    return getattr(value, "name", None) or str(value)


def _struct(value: Struct) -> str:
    parts = []
    for name in value.__struct_fields__:
        content = getattr(value, name)
        if content not in _DULL and name not in _UNINTERESTING:
            parts.append(f"{name}={_text(content)}")
    return f"{type(value).__name__}({', '.join(parts)})"


_DULL: tuple[Any, ...] = (None, (), b"", 0, "", False, "python", "simulated")
_UNINTERESTING = frozenset({"policy", "meta", "host", "pid", "rank", "code_version", "root_id"})


def short(value: bytes) -> str:
    """Return bytes so that one can tell them apart: text as text, ids by what differs."""
    if len(value) == 16 and value[6] >> 4 in (7, 8):
        tail = "" if value[6] >> 4 == 7 else "/" + value[9:11].hex()
        return f"#{int.from_bytes(value[:6], 'big')}{tail}"
    return value.decode("utf-8", "backslashreplace")
