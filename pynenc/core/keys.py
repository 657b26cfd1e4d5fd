"""Keys of calls: equal exactly if the values they are made of are.

The same in every process and whatever serializer a task has: values are written as JSON with everything in order, then
hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from msgspec.json import Encoder

from pynenc.call import Binder
from pynenc.core.payloads import SharedValue
from pynenc.errors import SerializationError
from pynenc.serializers.packing import TAG, Packer, Refusal, escape_surrogates

_ENCODER = Encoder(order="deterministic")
_INT64 = 2**63
_LONGEST_PART = 64
"""Longer ones are hashed on their own, so that what many calls share is encoded once."""


def part_of(value: Any, name: str = "") -> bytes:
    """Return what stands for a value in keys.

    Raises:
        SerializationError: it cannot be kept exactly, so nobody could say what equals it.
    """
    kind = type(value)
    if (kind is str and value.isascii()) or (kind is int and -_INT64 <= value < _INT64):
        return _short(_ENCODER.encode(value))
    try:
        tree = Packer(binary=False).pack(value)
    except Refusal as refusal:
        error = refusal.as_error()
        raise SerializationError(f"it cannot be part of a key: {error}", path=name) from refusal.__cause__
    try:
        text = _ENCODER.encode(_in_order(tree))
    except UnicodeEncodeError:
        text = _ENCODER.encode(_in_order(escape_surrogates(tree)))
    return _short(text)


def _short(text: bytes) -> bytes:
    return text if len(text) <= _LONGEST_PART else b"#" + blake2b(text, digest_size=32).digest()


def digest(parts: Iterable[bytes], size: int = 16) -> bytes:
    """Return the hash of several parts, which keep their bounds."""
    return blake2b(b"".join([len(part).to_bytes(4, "big") + part for part in parts]), digest_size=size).digest()


def values_of(key: Any) -> tuple[Any, ...]:
    """Return the values that make up a key: several if it is a tuple."""
    return key if isinstance(key, tuple) else (key,)


class SharedArguments:
    """Arguments that many calls have in common, as they were before they were stored once."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._parts: dict[str, bytes] = {}

    def part(self, name: str) -> bytes:
        """Return the part of an argument."""
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = part_of(self.values[name], name)
        return part


class KeyedCall:
    """The arguments of a call, as its keys see them."""

    __slots__ = ("_args", "_binder", "_kwargs", "_named", "_shared")

    def __init__(
        self, binder: Binder, args: tuple[Any, ...], kwargs: dict[str, Any], shared: SharedArguments | None
    ) -> None:
        self._binder = binder
        self._args = args
        self._kwargs = kwargs
        self._shared = shared
        self._named: dict[str, Any] | None = None

    def _by_name(self) -> dict[str, Any]:
        # Not a cached property: before Python 3.12 those take a lock, which costs as much as the rest of a key.
        if self._named is None:
            self._named = self._binder.by_name(self._args, self._kwargs)
        return self._named

    def parts(self, names: Iterable[str]) -> list[bytes]:
        """Return the parts of these arguments."""
        return [self._part(name) for name in names]

    def all_parts(self) -> list[bytes]:
        """Return the parts of all arguments, with their names."""
        return [part for name in sorted(self._by_name()) for part in (name.encode(), self._part(name))]

    def ask(self, function: Any) -> Any:
        """Return what a function makes of the arguments."""
        kwargs = self._kwargs
        if self._shared is not None:
            shared = self._shared.values
            kwargs = {name: shared[name] if type(value) is SharedValue else value for name, value in kwargs.items()}
        return function(*self._args, **kwargs)

    def _part(self, name: str) -> bytes:
        value = self._by_name()[name]
        if type(value) is SharedValue and self._shared is not None:
            return self._shared.part(name)
        return part_of(value, name)


def _in_order(tree: Any) -> Any:
    """Return a packed tree in which dictionaries with any keys are in an order that depends on nothing but them."""
    if type(tree) is list:
        return [_in_order(item) for item in tree]
    if type(tree) is not dict:
        return tree
    tagged = tree.get(TAG)
    if type(tagged) is list and tagged[:1] == ["dict"]:
        return {TAG: ["dict", sorted(_in_order(tagged[1]), key=_ENCODER.encode)]}
    return {name: _in_order(item) for name, item in tree.items()}
