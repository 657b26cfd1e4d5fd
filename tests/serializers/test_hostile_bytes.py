"""Bytes that nobody of us wrote end in a SerializationError, quickly, and build nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynenc.errors import SerializationError
from pynenc.ports.serializer import Serializer
from pynenc.serializers.exceptions import decode_exception
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer
from pynenc.serializers.types import KnownTypes
from pynenc.serializers.unpacking import _KINDS
from tests.serializers import models
from tests.serializers.test_values import VALUES

MODELS = models.__name__
NAMES = [f"{MODELS}:{name}" for name in vars(models)] + ["builtins:OSError", "http:HTTPStatus", "os:system", "x", ""]


def survives(serializer: Serializer, data: bytes, types: KnownTypes) -> None:
    for decode in (serializer.decode, lambda data, types: decode_exception(data, serializer, types)):
        try:
            value = decode(data, types)
        except SerializationError:
            continue
        if isinstance(value, BaseException):
            str(value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\x91" * 100_000)
@example(b"[" * 100_000)
@example(b'{"$":["tuple",[' * 300 + b"]]}" * 300)
@example(b"1" * 5_000)
@example(b"\xd4\x05\x01")
@example(b"\xc7\xff\x05")
@example(b'"\xed\xa0\x80"')
def test_random_bytes_are_refused_or_harmless(serializer: Serializer, types: KnownTypes, data: bytes) -> None:
    survives(serializer, data, types)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(range(len(VALUES))), st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_damaged_values_are_refused_or_harmless(
    serializer: Serializer, types: KnownTypes, number: int, at: int, damage: bytes
) -> None:
    data = serializer.encode(VALUES[number])
    at %= len(data)

    survives(serializer, data[:at] + damage + data[at + len(damage) :], types)
    survives(serializer, data[:at], types)


_content = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "0x1f", "__class__", "2024-01-01", "Europe/Paris", "../etc", "RED", *NAMES]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$", "x", "price", "__class__", "__notes__", "lines"]), inner, max_size=3)
        | st.builds(
            lambda kind, rest: {"$": [kind, *rest]}, st.sampled_from(sorted(_KINDS)), st.lists(inner, max_size=4)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=1_000, deadline=None)
@given(st.sampled_from(sorted(_KINDS)), st.sampled_from(NAMES), st.lists(_content, max_size=4), st.booleans())
def test_made_up_tags_are_refused_or_harmless(
    types: KnownTypes, kind: str, name: str, content: list[Any], named: bool
) -> None:
    tree = {"$": [kind, *([name] if named else []), *content]}

    survives(MsgpackSerializer(), msgspec.msgpack.encode(_bounded(tree)), types)


def _bounded(tree: Any) -> Any:
    """Keep integers within what MessagePack can say."""
    if isinstance(tree, dict):
        return {key: _bounded(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_bounded(item) for item in tree]
    return tree % 2**63 if type(tree) is int else tree


@pytest.mark.parametrize(
    "tag",
    [
        [],
        ["nothing of ours"],
        [["tuple"]],
        ["int", "9" * 200_000],
        ["int", 5],
        ["decimal", "9" * 200_000],
        ["decimal", "no number"],
        ["fraction", "1e999999999", 1],
        ["fraction", 1, 0],
        ["bytearray", 10**11],
        ["bytes", "no base64!"],
        ["set", [[]]],
        ["set", "abc"],
        ["dict", [[[], 1]]],
        ["dict", [1]],
        ["deque", [], -1],
        ["range", 1, 2, 0],
        ["range", 1, 2, "x"],
        ["timedelta", 10**12, 0, 0],
        ["datetime", "2024-01-01", "../../etc/passwd", 0],
        ["datetime", "2024-01-01", "a\x00b", 0],
        ["datetime", "2024-01-01", "x" * 10_000, 0],
        ["datetime", "2024-01-01", None, 7],
        ["datetime", 5, None, 0],
        ["defaultdict", "eval", []],
        ["uuid", 5],
        ["path", 5],
        ["text", "zz"],
        ["enum", f"{MODELS}:Colour", "__class__"],
        ["enum", f"{MODELS}:Line", "price"],
        ["flag", f"{MODELS}:Colour", "red"],
        ["namedtuple", f"{MODELS}:Point", [1]],
        ["namedtuple", f"{MODELS}:Line", [1]],
        ["object", f"{MODELS}:Line", {"price": 1, "__class__": 2}],
        ["object", f"{MODELS}:Line", {"price": 1, "cheap": 2}],
        ["object", f"{MODELS}:Line", {}],
        ["object", f"{MODELS}:Line", []],
        ["object", f"{MODELS}:Plain", {"x": 1}],
        ["object", f"{MODELS}:Robot", {"parts": []}],
        ["object", f"{MODELS}:Reading", {"valu": 1}],
        ["object", f"{MODELS}:GrowingDict", {"label": ""}],
        ["object", f"{MODELS}:Any", {}],
        ["object", "os:system", {}],
        ["object", ["x"], {}],
        ["pydantic", f"{MODELS}:Line", {}, None, [], None],
        ["pydantic", f"{MODELS}:Person", {"name": "x", "__class__": 1}, None, [], None],
        ["pydantic", f"{MODELS}:Person", {}, None, [], None],
        ["json", f"{MODELS}:Money", {}],
        ["json", f"{MODELS}:Line", {}],
        ["exception", f"{MODELS}:Line", [], {}],
        ["exception", "builtins:eval", ["1"], {}],
        ["exception", "builtins:ValueError", [], {"__notes__": 5}],
        ["exception", "builtins:UnicodeDecodeError", ["utf-8", "x", -(2**60), 1 - 2**60, "r"], {}],
        ["exception", "builtins:ExceptionGroup", ["m", [1]], {}],
    ],
    ids=lambda tag: str(tag[0])[:20] if tag else "empty",
)
def test_a_made_up_tag_is_refused(tag: list[Any], types: KnownTypes) -> None:
    data = json.dumps({"$": tag}).encode()

    with pytest.raises(SerializationError):
        JsonSerializer().decode(data, types)


def test_decoding_imports_nothing(types: KnownTypes) -> None:
    before = set(sys.modules)

    with pytest.raises(SerializationError, match="does not know"):
        JsonSerializer().decode(b'{"$":["object","this:Zen",{}]}', types)

    assert set(sys.modules) == before


def test_dunder_attributes_of_exceptions_are_not_set(types: KnownTypes) -> None:
    stored = b'{"$":["exception","builtins:ValueError",[1],{"__class__":1,"__traceback__":2,"fine":3}]}'

    assert vars(JsonSerializer().decode(stored, types)) == {"fine": 3}
