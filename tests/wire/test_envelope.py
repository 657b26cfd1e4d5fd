"""Envelopes: what was sealed is opened, anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc.errors import MalformedMessage, ProtocolError, UnknownVersion
from pynenc.wire.envelope import open_envelope, seal, seal_reference

_codecs = st.text(st.characters(codec="ascii"), min_size=1, max_size=32)


@given(_codecs, st.binary())
def test_sealed_data_comes_back(codec: str, data: bytes) -> None:
    opened = open_envelope(seal(codec, data))

    assert (opened.codec, opened.data, opened.reference, opened.size) == (codec, data, None, len(data))


@given(_codecs, st.binary(min_size=32, max_size=48), st.integers(0, 2**64 - 1))
def test_a_sealed_reference_comes_back(codec: str, key: bytes, size: int) -> None:
    opened = open_envelope(seal_reference(codec, key, size))

    assert (opened.codec, opened.data, opened.reference, opened.size) == (codec, None, key, size)


@given(st.binary(max_size=80) | st.builds(lambda rest: b"\x01" + rest, st.binary(max_size=80)))
def test_foreign_bytes_are_refused_or_opened_whole(data: bytes) -> None:
    try:
        opened = open_envelope(data)
    except ProtocolError:
        return

    written = (
        seal(opened.codec, opened.data)
        if opened.data is not None
        else seal_reference(opened.codec, opened.reference or b"", opened.size)
    )
    assert written == data


@pytest.mark.parametrize("version", [0, 2, 0x7B, 255])
def test_another_version_is_told_apart_from_damage(version: int) -> None:
    with pytest.raises(UnknownVersion):
        open_envelope(bytes([version]) + seal("json", b"")[1:])


def test_a_cut_envelope_is_malformed() -> None:
    sealed = seal_reference("json", bytes(32), 1)

    for length in range(len(sealed)):
        with pytest.raises(MalformedMessage):
            open_envelope(sealed[:length])


@pytest.mark.parametrize("codec", ["", "c" * 33, "ö"])
def test_an_impossible_codec_is_not_sealed(codec: str) -> None:
    with pytest.raises(ValueError):
        seal(codec, b"")


@pytest.mark.parametrize("reference", [b"short", bytes(49)])
def test_an_impossible_reference_is_not_sealed(reference: bytes) -> None:
    with pytest.raises(ValueError):
        seal_reference("json", reference, 1)
