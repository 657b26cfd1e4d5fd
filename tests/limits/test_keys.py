"""Keys: equal exactly if the values are, in every process and whatever serializer a task has."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pynenc.core.keys import digest, part_of
from pynenc.errors import SerializationError
from pynenc.limits import interval_us, rate_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}),
        ({(1, 2): {"x": 1, "y": 2}}, {(1, 2): {"y": 2, "x": 1}}),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        ([{"b": 1, "a": 2}], [{"a": 2, "b": 1}]),
        ("straße", "stra\u00dfe"),
    ],
)
def test_equal_values_have_equal_parts_however_they_were_built(one: Any, other: Any) -> None:
    assert part_of(one) == part_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (2**63, 2**63 - 1),
        (2**64, str(2**64)),
        (1, True),
        (None, "null"),
        ([1], (1,)),
        ("a", b"a"),
        ({"a": 1}, [["a", 1]]),
    ],
)
def test_values_of_different_kinds_differ(one: Any, other: Any) -> None:
    assert part_of(one) != part_of(other)


def test_parts_keep_their_bounds() -> None:
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])


def test_long_values_are_hashed_and_still_differ() -> None:
    assert part_of("x" * 1_000) != part_of("x" * 1_001)
    assert len(part_of("x" * 1_000_000)) < 64


def test_texts_with_lone_surrogates_have_parts() -> None:
    assert part_of({"\ud800": 1}) == part_of({"\ud800": 1}) != part_of({"\ud801": 1})


def test_another_process_makes_the_same_key() -> None:
    script = "from pynenc.core.keys import *; print(digest([part_of({'x', 'y', 'zz'}), part_of({'k': 1.5})]).hex())"
    said = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    }

    assert said == {digest([part_of({"zz", "y", "x"}), part_of({"k": 1.5})]).hex()}


def test_what_cannot_be_kept_exactly_has_no_part() -> None:
    with pytest.raises(SerializationError, match="cannot be part of a key"):
        part_of(object())


@pytest.mark.parametrize(
    ("rate", "interval"),
    [
        ("10/s", 100_000),
        ("100/min", 600_000),
        ("100 / minute", 600_000),
        ("1000/h", 3_600_000),
        ("1/d", 86_400_000_000),
        ("30/10s", 333_334),
        ("7/s", 142_858),
        ("5/2mins", 24_000_000),
    ],
)
def test_the_interval_of_a_rate_is_rounded_up_so_that_it_is_never_exceeded(rate: str, interval: int) -> None:
    assert interval_us(rate) == interval


@pytest.mark.parametrize("rate", ["10/s", "7/s", "100/min", "1/min", "1000/h", "1/d", "10000/s"])
def test_an_interval_is_shown_as_the_rate_that_it_came_from(rate: str) -> None:
    assert rate_text(interval_us(rate)) == rate


def test_an_interval_of_no_usual_rate_is_shown_as_it_is() -> None:
    assert rate_text(1_500_001) == "1/1.5s"
