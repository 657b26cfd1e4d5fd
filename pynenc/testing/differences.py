"""Differences between stores as people read them: where they are, and a program that shows them."""

from __future__ import annotations

from enum import Enum
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import fields


def first_difference(one: Any, other: Any, path: str = "dump") -> str:
    """Return where two states differ first, and how."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            if one[key] != other[key]:
                return first_difference(one[key], other[key], f"{path}[{key!r}]")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            if left != right:
                return first_difference(left, right, f"{path}[{number}]")
    return f"{path} differs:\n  {to_builtins(one)!r}\n  {to_builtins(other)!r}"


PROLOGUE = (
    "from pynenc.io import run",
    "from pynenc.model.gates import *",
    "from pynenc.model.records import *",
    "from pynenc.model.status import InvocationStatus, Reason",
    "def perform(port, operation, *arguments, **options):",
    "    return run(getattr(getattr(backend, port), operation)(*arguments, **options))",
)


def code_of(value: Any) -> str:
    """Return `value` as the shortest expression that builds it."""
    if isinstance(value, Struct):
        parts = [
            f"{field.name}={code_of(content)}"
            for field in fields(value)
            if (content := getattr(value, field.name)) != field.default
        ]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, list):
        return "[" + ", ".join(map(code_of, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{code_of(item)}, " for item in value) + ")"
    return repr(value)
