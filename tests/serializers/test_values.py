"""Values come back equal, with the same types in every place."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc.errors import SerializationError
from pynenc.serializers.arguments import decode_arguments, encode_arguments
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer
from pynenc.serializers.types import KnownTypes
from tests.serializers import models
from tests.serializers.conftest import Keep

PARIS = ZoneInfo("Europe/Paris")

VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**64,
    -(10**40),
    -0.0,
    5e-324,
    1e22,
    sys.float_info.max,
    math.inf,
    "",
    "€ \x00 \U0001f600",
    "a lone surrogate \ud800",
    {"\udcff": ["\udcff"], "$": 1},
    Path("caf\udce9"),
    b"",
    bytes(range(256)),
    bytearray(b"ab"),
    (),
    (1, (2, [3])),
    [[], {}, ()],
    {1, "a", None, (1, 2)},
    frozenset({frozenset({1}), 2}),
    {1: "int", "1": "str", (1, 2): "tuple", None: "none", 2.5: "float", models.Level.LOW: "enum"},
    {"$": ["tuple", [1]]},
    {"$": {"$": []}},
    {True: 1},
    deque([1, 2], maxlen=3),
    OrderedDict([("b", 1), ("a", 2)]),
    Counter("abracadabra"),
    defaultdict(list, {"a": [1]}),
    datetime(2024, 10, 27, 2, 30, 0, 1, tzinfo=PARIS, fold=1),
    datetime(1, 1, 1),
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, seconds=1, microseconds=5))),
    date(2024, 2, 29),
    time(23, 59, 59, 999_999, tzinfo=UTC),
    timedelta(days=-1, microseconds=1),
    UUID(int=5),
    Decimal("1.10"),
    Decimal("-Infinity"),
    Decimal("1E+999999"),
    Fraction(-1, 3),
    Fraction(10**5000, 3),
    complex(-0.0, math.inf),
    range(1, 10, 2),
    slice(None, 5),
    Path("a/b"),
    PurePosixPath("/x"),
    PureWindowsPath("c:\\x"),
    models.Colour.BLUE,
    models.Level.HIGH,
    models.Mode.FAST,
    models.Rights.READ | models.Rights.WRITE,
    models.Rights(0),
    HTTPStatus.OK,
    models.Point(1, 2.5),
    models.Order([models.Line(Decimal(1)), models.Line((1,))], {"a": "b"}),
    models.Key("shop", 3),
    models.Derived("x", 21),
    models.Box[int](3),
    models.Holder(models.Outer.Inner(3)),
    models.Reading(1.5),
    models.Robot("r2", ["wheel"]),
    models.Person(fullName="Ada"),
    models.Tags(["a"]),
    models.Loose.model_validate({"any": "thing"}),
    models.Movie(title="Heat", key=models.Key("a", 1)),
    models.Money(5),
]


def shape(value: Any) -> Any:
    """Return what equality does not tell: types all the way down, signs of zeros."""
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(shape, value)))
    if isinstance(value, list | tuple | deque):
        return type(value), [shape(item) for item in value]
    if isinstance(value, Fraction):
        return type(value), hex(value.numerator)
    if dataclasses.is_dataclass(value):
        return type(value), [shape(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return type(value), repr(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_as_it_was(value: Any, keep: Keep) -> None:
    kept = keep(value)

    assert kept == value
    assert shape(kept) == shape(value)


def test_not_a_number_is_kept(keep: Keep) -> None:
    kept = keep([math.nan, Decimal("sNaN")])

    assert math.isnan(kept[0])
    assert kept[1].is_snan()


def test_the_second_of_two_equal_hours_is_kept(keep: Keep) -> None:
    kept = keep(datetime(2024, 10, 27, 2, 30, tzinfo=PARIS, fold=1))

    assert kept.fold == 1
    assert kept.tzinfo is PARIS
    assert kept.utcoffset() == timedelta(hours=1)


def test_the_name_of_an_offset_is_kept(keep: Keep) -> None:
    assert keep(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "Here"))).tzname() == "Here"


def test_a_default_factory_goes_on_working(keep: Keep) -> None:
    kept = keep(defaultdict(list))

    kept["new"].append(1)

    assert kept == {"new": [1]}


def test_what_a_post_init_changed_is_not_changed_again(keep: Keep) -> None:
    assert keep(models.Hashing("x")).secret == "<x>"


def test_a_cached_property_does_not_hinder(keep: Keep) -> None:
    value = models.Derived("x", 21)
    assert value.shout == "X"

    kept = keep(value)

    assert kept == value
    assert "shout" not in vars(kept)


def test_a_cached_property_of_a_slotted_class_does_not_hinder_and_is_not_computed_for_it(keep: Keep) -> None:
    circle, computed = models.Circle(2), models.Circle(2)
    assert computed.area == 12

    assert [keep(circle).area, keep(computed).area] == [12, 12]


def test_private_attributes_and_set_fields_of_a_model_are_kept(keep: Keep) -> None:
    value = models.Person(fullName="Ada")
    value._visits = 7

    kept = keep(value)

    assert kept._visits == 7
    assert kept.model_fields_set == {"name"}


def test_a_field_that_a_later_release_added_gets_its_default(types: KnownTypes) -> None:
    stored = JsonSerializer().encode(models.Order([], {"old": "note"})).replace(b'"notes":{"old":"note"},', b"")

    assert JsonSerializer().decode(stored, types) == models.Order([])


def test_a_set_is_written_the_same_whatever_its_order() -> None:
    one, other = {"a", "b", "c", 8, 0}, {0, 8, "c", "b", "a"}

    assert JsonSerializer().encode(one) == JsonSerializer().encode(other)


def test_plain_values_are_plain_json() -> None:
    assert JsonSerializer().encode({"a": [1, "x", None, 0.5]}) == b'{"a":[1,"x",null,0.5]}'


def test_a_tag_in_escaped_letters_is_a_tag(types: KnownTypes) -> None:
    assert JsonSerializer().decode(b'{"\\u0024":["tuple",[1]]}', types) == (1,)


@pytest.mark.parametrize("head", [b"\xa1", b"\xd9\x01", b"\xda\x00\x01", b"\xdb\x00\x00\x00\x01"])
def test_a_tag_of_any_length_form_is_a_tag(head: bytes, types: KnownTypes) -> None:
    stored = b"\x81" + head + b"$\x92\xa5tuple\x91\x01"

    assert MsgpackSerializer().decode(stored, types) == (1,)


_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None))
    | st.binary(max_size=20)
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from([*models.Colour, *models.Level, models.Rights.READ])
    | st.builds(models.Key, st.text(max_size=3), st.integers())
)
_hashable = st.recursive(
    _leaves, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
_anything = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_hashable, inner, max_size=3)
        | st.dictionaries(st.text(max_size=2) | st.just("$"), inner, max_size=3)
        | st.sets(_hashable, max_size=3)
        | st.builds(models.Line, inner)
        | st.builds(models.Point, st.integers(), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(_anything)
def test_any_composition_comes_back(keep: Keep, value: Any) -> None:
    kept = keep(value)

    assert kept == value
    assert shape(kept) == shape(value)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, (2,)), {"a": {1}}), (([],), {"$": 1}), ((), {"self": None, "not an identifier": 1})],
)
def test_positional_and_keyword_arguments_stay_apart(
    args: tuple[Any, ...], kwargs: dict[str, Any], types: KnownTypes
) -> None:
    data = encode_arguments(JsonSerializer(), args, kwargs)

    assert decode_arguments(JsonSerializer(), data, types) == (args, kwargs)


@pytest.mark.parametrize("stored", [None, [], [1, 2], [[], []], [[], {1: 2}], [(), {}]])
def test_what_is_no_call_is_not_taken_for_one(stored: Any, types: KnownTypes) -> None:
    data = JsonSerializer().encode(stored)

    with pytest.raises(SerializationError):
        decode_arguments(JsonSerializer(), data, types)
