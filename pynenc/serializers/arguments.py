"""Arguments of calls: positional and keyword ones stay apart."""

from __future__ import annotations

from typing import Any

from pynenc.errors import SerializationError
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry


def encode_arguments(serializer: Serializer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return the bytes of a call's arguments.

    Raises:
        SerializationError: an argument cannot be kept; its path begins with `[position]` or with its keyword.
    """
    try:
        return serializer.encode([list(args), kwargs])
    except SerializationError as error:
        raise _relative(error) from error.__cause__


def _relative(error: SerializationError) -> SerializationError:
    """Take the frame of the call (`[0]` positional, `[1].` keyword) from a path."""
    path = error.path
    message = str(error).removeprefix(path).removeprefix(": ")
    for frame in ("[0]", "[1].", "[1]"):
        if path.startswith(frame):
            return SerializationError(message, path=path.removeprefix(frame))
    return error


def decode_arguments(
    serializer: Serializer, data: bytes, types: TypeRegistry
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that `encode_arguments` wrote.

    Raises:
        SerializationError: the bytes are no arguments.
    """
    value = serializer.decode(data, types)
    if type(value) is list and len(value) == 2:
        args, kwargs = value
        if type(args) is list and type(kwargs) is dict and all(type(key) is str for key in kwargs):
            return tuple(args), kwargs
    raise SerializationError("stored bytes are not the arguments of a call")
