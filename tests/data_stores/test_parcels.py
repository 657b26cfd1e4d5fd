"""How values lie in objects: what was written comes back, anything else is recognised."""

from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc.data_stores.parcels import Damaged, key_of, unwrap, wrap

VALUE = b'{"amount": 12, "name": "customer"}, ' * 500


@given(st.binary(max_size=2_000) | st.binary(max_size=50).map(lambda part: part * 3_000), st.booleans())
def test_a_value_comes_back(value: bytes, compress: bool) -> None:
    assert unwrap(wrap(value, compress=compress), key_of(value)) == value


def test_text_shrinks_and_what_does_not_shrink_is_kept_as_it_is() -> None:
    noise = os.urandom(100_000)

    assert len(wrap(VALUE)) < len(VALUE) / 10
    assert len(wrap(noise)) == len(noise) + 14
    assert len(wrap(VALUE, compress=False)) == len(VALUE) + 14


@pytest.mark.parametrize("compress", [True, False])
def test_a_change_of_any_byte_is_recognised(compress: bool) -> None:
    parcel = wrap(VALUE[:400], compress=compress)

    for place in range(len(parcel)):
        changed = parcel[:place] + bytes([parcel[place] ^ 0x41]) + parcel[place + 1 :]
        with pytest.raises(Damaged):
            unwrap(changed, key_of(VALUE[:400]))


@pytest.mark.parametrize("compress", [True, False])
def test_a_cut_off_object_is_recognised(compress: bool) -> None:
    parcel = wrap(VALUE[:400], compress=compress)

    for length in range(len(parcel)):
        with pytest.raises(Damaged):
            unwrap(parcel[:length], key_of(VALUE[:400]))


def test_the_value_of_another_key_is_recognised() -> None:
    with pytest.raises(Damaged, match="its name"):
        unwrap(wrap(VALUE), key_of(b"another"))


def test_an_object_that_claims_to_be_small_does_not_fill_the_memory() -> None:
    bomb = wrap(b"")[:5] + b"\1" + (10).to_bytes(8, "big") + zlib.compress(bytes(50_000_000), 9)

    with pytest.raises(Damaged):
        unwrap(bomb, key_of(bytes(10)))
