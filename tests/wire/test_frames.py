"""Worker frames: any cut of the stream gives the same frames; damage is an error, never a wrong frame."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc.errors import MalformedMessage, ProtocolError
from pynenc.wire import frames
from pynenc.wire.frames import MAX_FRAME, Frame, FrameDecoder, FrameTooLarge, FrameType, encode_frame
from tests.protocol.cases import FRAMES

STREAM = b"".join(encode_frame(kind, body, seq) for seq, (kind, body) in enumerate(FRAMES.values()))
EXPECTED = [Frame(kind, seq, body) for seq, (kind, body) in enumerate(FRAMES.values())]


def raw(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    return (5 + len(body) if length is None else length).to_bytes(4, "big") + bytes([kind]) + bytes(4) + body


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_frames_do_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    decoder = FrameDecoder()
    edges = [0, *sorted(cuts), len(STREAM)]

    decoded = [frame for at, end in pairwise(edges) for frame in decoder.feed(STREAM[at:end])]

    assert decoded == EXPECTED


def test_frames_come_byte_by_byte_too() -> None:
    decoder = FrameDecoder()

    assert [frame for byte in STREAM for frame in decoder.feed(bytes([byte]))] == EXPECTED


def test_an_unknown_optional_frame_is_passed_over() -> None:
    bye = encode_frame(FrameType.BYE, frames.Bye("x"))

    decoded = FrameDecoder().feed(raw(0xFF, b"whatever") + raw(FrameType.METRIC, b"\xc1") + bye)

    assert [frame.type for frame in decoded] == [FrameType.BYE]


@pytest.mark.parametrize("kind", [0, 21, 0x7F])
def test_any_other_unknown_frame_is_a_protocol_error(kind: int) -> None:
    with pytest.raises(ProtocolError, match=f"unknown type {kind}"):
        FrameDecoder().feed(raw(kind, b""))


@pytest.mark.parametrize("length", [0, 4, MAX_FRAME + 1, 2**32 - 1])
def test_an_impossible_length_is_refused_before_the_body_comes(length: int) -> None:
    with pytest.raises(MalformedMessage):
        FrameDecoder().feed(raw(FrameType.BEAT, b"", length=length))


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x91", b"\x91\xa1x", b"\x80", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\x91\x01\x00"],
    ids=["empty", "never used", "cut", "text for a number", "map", "huge", "deep", "more after it"],
)
def test_a_body_that_is_not_what_its_type_says_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        FrameDecoder().feed(raw(FrameType.BEAT, body))


def test_fields_of_a_later_release_are_passed_over() -> None:
    [frame] = FrameDecoder().feed(raw(FrameType.BEAT, b"\x92\x07\xa3new"))

    assert frame.body == frames.Beat(7)


def test_a_frame_that_would_be_too_large_is_not_made() -> None:
    with pytest.raises(FrameTooLarge) as caught:
        encode_frame(FrameType.REPLY, frames.Reply(bytes(MAX_FRAME)))

    assert caught.value.size > MAX_FRAME


@settings(max_examples=300)
@given(st.binary(max_size=100) | st.builds(raw, st.integers(0, 255), st.binary(max_size=60)))
def test_random_bytes_end_in_frames_or_a_protocol_error(data: bytes) -> None:
    try:
        decoded = FrameDecoder().feed(data)
    except ProtocolError:
        return

    assert all(type(frame.body) is frames.BODIES[frame.type] for frame in decoded)


@settings(max_examples=300)
@given(st.integers(0, len(STREAM) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_stream_ends_in_frames_or_a_protocol_error(at: int, damage: bytes) -> None:
    try:
        decoded = FrameDecoder().feed(STREAM[:at] + damage + STREAM[at + len(damage) :])
    except ProtocolError:
        return

    assert all(type(frame.body) is frames.BODIES[frame.type] for frame in decoded)
