"""What cannot be kept exactly is refused, and the error says where it is."""

from __future__ import annotations

import io
import struct
import threading
from collections import defaultdict
from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pynenc.errors import SerializationError
from pynenc.ports.serializer import Serializer
from pynenc.serializers import packing
from pynenc.serializers.arguments import encode_arguments
from pynenc.serializers.packing import MAX_DEPTH
from pynenc.serializers.text import JsonSerializer
from tests.serializers import models


class NoZone(tzinfo):
    def utcoffset(self, when: datetime | None, /) -> timedelta:
        return timedelta(0)

    dst = utcoffset

    def tzname(self, when: datetime | None, /) -> str:
        return "no zone"


def refusal(serializer: Serializer, value: Any) -> SerializationError:
    with pytest.raises(SerializationError) as caught:
        serializer.encode(value)
    return caught.value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), ""),
        ({"a": [1, object()]}, "a[1]"),
        ({"a b": object()}, "['a b']"),
        ({1: object()}, "[1]"),
        ({(1, models.Plain): 1}, "(key (1, <class 'tests.serializers.models.Plain'>))[1]"),
        ((1, {2, frozenset({len})}), "[1]{frozenset({<built-in function len>})}{<built-in function len>}"),
        ({"order": models.Order([models.Line(1), models.Line(models.Plain())])}, "order.lines[1].price"),
        (models.Point(1, models.Plain()), "y"),  # type: ignore[arg-type]
        (models.Reading(object()), "value"),  # type: ignore[arg-type]
        (models.Robot("x", [len]), "parts[0]"),  # type: ignore[list-item]
        (models.Loose.model_validate({"extra": [object()]}), "extra[0]"),
        ({"error": ValueError(1, object())}, "error[1]"),
        ({"error": [models.Shy()]}, "error[0]"),
        ([models.Nesting({"a": [object()]})], "[0].a[0]"),
    ],
)
def test_the_error_leads_to_the_part(value: Any, path: str, serializer: Serializer) -> None:
    assert refusal(serializer, value).path == path


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (models.MyList([1]), "extends list and cannot be kept; pass a plain list"),
        (models.MyInt(1), "extends int"),
        (models.MyDict(a=1), "extends dict"),
        (models.MyTuple([1]), "extends tuple"),
        (models.MyText("a"), "extends str"),
        (models.MyDate(2024, 1, 1), "models.MyDate cannot be kept"),
        (threading.Lock(), "lock cannot be kept"),
        (threading, "type module cannot be kept"),
        (models.Shy(1), "Shy cannot be looked at: LookupError('not today')"),
        (models.GrowingDict("x"), "extends dict"),
        (models.local_class()(), "defined inside a function"),
        (models.Plain, "a class cannot be kept"),
        (models.Plain(), "tests.serializers.models.Plain cannot be kept"),
        (io.StringIO(), "_io.StringIO cannot be kept"),
        (iter([]), "list_iterator cannot be kept"),
        (memoryview(b""), "memoryview cannot be kept"),
        (defaultdict(lambda: 0), "defaultdict"),
        (datetime(2024, 1, 1, tzinfo=NoZone()), "time zone"),
        (models.Money(-1), "debts stay private"),
        (1 << 400_001, "hexadecimal digits"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_error_says_why(value: Any, words: str, serializer: Serializer) -> None:
    assert words in str(refusal(serializer, [value]))


@pytest.mark.parametrize("function", models.functions())
def test_functions_are_refused(function: Any, serializer: Serializer) -> None:
    assert "cannot be kept; pass what it is called with" in str(refusal(serializer, function))


def test_an_attribute_that_is_no_field_is_not_dropped_silently(serializer: Serializer) -> None:
    line = models.Line(1)
    line.discount = 3  # type: ignore[attr-defined]

    assert "attribute 'discount' is no field of Line" in str(refusal(serializer, line))


def test_a_class_that_its_name_does_not_lead_to_is_refused(
    serializer: Serializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = models.Base("x")
    other = type("Base", (), {"__module__": models.__name__})
    impostor: Any = type("Base", (models.Base,), {"__module__": models.__name__})("y")
    assert other is not models.Base

    assert serializer.encode(value)
    assert "other processes cannot find it" in str(refusal(serializer, impostor))


def test_a_value_cannot_pretend_to_be_of_another_class(serializer: Serializer) -> None:
    pretender = type("Pretender", (), {"__class__": property(lambda _: dict)})

    assert "Pretender" in str(refusal(serializer, pretender()))


def test_what_contains_itself_is_refused(serializer: Serializer) -> None:
    around: list[Any] = [1]
    around.append({"again": around})

    error = refusal(serializer, around)

    assert "contains itself" in str(error)
    assert error.path.startswith("[1].again[1].again[1]")
    assert len(error.path) < 200


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: models.Line(v)])
def test_depth_is_limited_to_what_can_be_read_again(wrap: Any, keep: Any, serializer: Serializer) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)

    assert keep(value) == value
    assert "deep" in str(refusal(serializer, wrap(value)))


def test_a_zone_that_is_not_what_its_key_names_is_refused(serializer: Serializer) -> None:
    one_hour = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 3600, 0, 0) + b"ONE\0"
    zone = ZoneInfo.from_file(io.BytesIO(one_hour), key="Europe/Paris")

    assert "time zone" in str(refusal(serializer, datetime(2024, 1, 1, tzinfo=zone)))


def test_what_to_json_returns_counts_as_one_level(serializer: Serializer) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH + 1):
        value = models.Nesting(value)

    assert "deep" in str(refusal(serializer, value))


def test_exceptions_that_hold_each_other_twice_are_refused_before_they_fill_the_memory(
    serializer: Serializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_EXCEPTIONS", 100)
    error: BaseException = ValueError()
    for _ in range(40):
        error = models.Wrapping(error)

    assert "more than 100 exceptions" in str(refusal(serializer, error))


def test_a_repr_that_fails_does_not_hide_the_reason(serializer: Serializer) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError

    error = refusal(serializer, {Mute(): 1})

    assert error.path == "(key <Mute>)"


@pytest.mark.parametrize(
    ("args", "kwargs", "path"), [((1, [object()]), {}, "[1][0]"), ((), {"order": {"x": object()}}, "order.x")]
)
def test_the_path_begins_at_the_argument(args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> None:
    with pytest.raises(SerializationError) as caught:
        encode_arguments(JsonSerializer(), args, kwargs)

    assert caught.value.path == path
