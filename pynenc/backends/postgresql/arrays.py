"""Arrays as the server reads them in binary form.

The client library would look at each element of each array to find out how to write it, and write all of them as text;
that took longer than the rest of a call. The columns of a request know their types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct, pack

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

_EMPTY = Struct(">iII")
"""Dimensions, whether there are nulls, type of the elements."""
_HEAD = Struct(">iIIii")
"""The same, then length and lower bound of the only dimension."""
_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)
_BYTEA, _BIGINT, _INTEGER, _TEXT = 17, 20, 23, 25


class Array:
    """One array, encoded."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class ByteaArray(Array):
    __slots__ = ()


class TextArray(Array):
    __slots__ = ()


class BigintArray(Array):
    __slots__ = ()


class IntegerArray(Array):
    __slots__ = ()


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    """Return `values` as `bytea[]`."""
    return ByteaArray(_of_bytes(_BYTEA, values))


def texts(values: Sequence[str | None]) -> TextArray:
    """Return `values` as `text[]`."""
    return TextArray(_of_bytes(_TEXT, [None if value is None else value.encode() for value in values]))


def bigints(values: Sequence[int | None]) -> BigintArray:
    """Return `values` as `bigint[]`."""
    return BigintArray(_of_numbers(_BIGINT, 8, "q", values))


def integers(values: Sequence[int | None]) -> IntegerArray:
    """Return `values` as `integer[]`."""
    return IntegerArray(_of_numbers(_INTEGER, 4, "i", values))


def _of_bytes(kind: int, values: Sequence[bytes | None]) -> bytes:
    parts = [_head(kind, len(values), None in values)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(_LENGTH.pack(len(value)))
            parts.append(value)
    return b"".join(parts)


def _of_numbers(kind: int, width: int, code: str, values: Sequence[int | None]) -> bytes:
    has_null = None in values
    head = _head(kind, len(values), has_null)
    if has_null:
        layout = f">i{code}"
        return head + b"".join(_NULL if value is None else pack(layout, width, value) for value in values)
    return head + pack(">" + f"i{code}" * len(values), *_each_with(width, values))


def _each_with(width: int, values: Sequence[int | None]) -> Iterator[int | None]:
    for value in values:
        yield width
        yield value


def _head(kind: int, length: int, has_null: bool) -> bytes:
    return _HEAD.pack(1, has_null, kind, length, 1) if length else _EMPTY.pack(0, False, kind)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj.data


class _ByteaDumper(_ArrayDumper):
    oid = 1001


class _TextDumper(_ArrayDumper):
    oid = 1009


class _BigintDumper(_ArrayDumper):
    oid = 1016


class _IntegerDumper(_ArrayDumper):
    oid = 1007


def register(adapters: AdaptersMap) -> None:
    """Teach a connection or a cursor to pass these arrays, and to pass every number as one type."""
    adapters.register_dumper(ByteaArray, _ByteaDumper)
    adapters.register_dumper(TextArray, _TextDumper)
    adapters.register_dumper(BigintArray, _BigintDumper)
    adapters.register_dumper(IntegerArray, _IntegerDumper)
    # So that a statement is prepared once and not once per size of its numbers.
    adapters.register_dumper(int, Int8BinaryDumper)
