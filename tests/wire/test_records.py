"""Records: damaged bytes are malformed messages, never something else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc.errors import MalformedMessage
from pynenc.wire import records
from pynenc.wire.constants import MAX_FRAME
from pynenc.wire.records import RecordDecoder, encode_record
from tests.protocol.cases import RECORDS

DECODERS = {name: value for name, value in vars(records).items() if isinstance(value, RecordDecoder)}


@settings(max_examples=300)
@given(st.sampled_from(sorted(RECORDS)), st.integers(0, 10_000), st.binary(max_size=4))
def test_damage_is_a_malformed_message_or_another_record(name: str, at: int, damage: bytes) -> None:
    data = encode_record(RECORDS[name])
    at %= len(data)
    damaged = data[:at] + damage + data[at + max(1, len(damage)) :]
    try:
        decoded = DECODERS[name].decode(damaged)
    except MalformedMessage:
        return

    assert type(decoded) is type(RECORDS[name])


@pytest.mark.parametrize("name", sorted(DECODERS))
@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xc0"])
def test_foreign_bytes_are_malformed(name: str, data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        DECODERS[name].decode(data)


def test_more_than_a_frame_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="too many"):
        records.outcome.decode(bytes(MAX_FRAME + 1))
