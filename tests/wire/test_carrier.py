"""What travels with an invocation: bounded when written, distrusted when read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc.errors import CarrierFull, MalformedMessage
from pynenc.wire.carrier import Carrier, decode_carrier
from pynenc.wire.constants import CARRIER_LONGEST_KEY, CARRIER_MOST_BYTES, CARRIER_MOST_ENTRIES

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=CARRIER_LONGEST_KEY)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)


@settings(max_examples=200)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=CARRIER_MOST_ENTRIES + 5))
def test_what_fits_is_read_as_it_was_written(entries: list[tuple[str, str]]) -> None:
    carrier = Carrier()
    kept: dict[str, str] = {}
    for key, value in entries:
        try:
            carrier.put(key, value)
        except CarrierFull:
            continue
        kept[key] = value

    encoded = carrier.encode()

    assert len(encoded) <= CARRIER_MOST_BYTES
    assert decode_carrier(encoded) == kept == carrier.entries


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_carrier_or_malformed(data: bytes) -> None:
    try:
        entries = decode_carrier(data)
    except MalformedMessage:
        return

    assert all(isinstance(each, str) for pair in entries.items() for each in pair)


def test_a_value_takes_the_place_of_an_earlier_one() -> None:
    carrier = Carrier()
    for _ in range(100):
        carrier.put("key", "x" * 3_000)

    carrier.put("key", "small")
    carrier.put("other", "x" * 3_900)

    assert decode_carrier(carrier.encode())["key"] == "small"


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "v"), ("k" * 129, "v"), ("k", "v" * 4_096), ("k", "\udc80"), ("\udc80", "v")],
    ids=["empty key", "long key", "long value", "surrogate in a value", "surrogate in a key"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(key: str, value: str) -> None:
    carrier = Carrier()
    carrier.put("before", "1")

    with pytest.raises(CarrierFull):
        carrier.put(key, value)

    assert carrier.entries == {"before": "1"}


def test_only_so_many_entries_fit() -> None:
    carrier = Carrier()
    for number in range(CARRIER_MOST_ENTRIES):
        carrier.put(f"k{number}", "")

    carrier.put("k0", "changed")
    with pytest.raises(CarrierFull, match="at most 64 entries"):
        carrier.put("one more", "")

    assert len(decode_carrier(carrier.encode())) == CARRIER_MOST_ENTRIES


def test_only_texts_travel() -> None:
    with pytest.raises(TypeError):
        Carrier().put("k", 3)  # type: ignore[arg-type]


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode_carrier(msgspec.msgpack.encode({"a": [[]]}).replace(b"\x91\x90", b"\x91" * 3_000 + b"\x90"))
