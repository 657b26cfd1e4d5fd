"""The envelope around arguments, results and errors in stores.

    byte 0     version, 1
    byte 1     flags: bit 0 set if the body is a reference to the client data store
    byte 2     length of the codec's name, 1..32
    then       the codec's name, ASCII: who wrote the body
    then       the body; of a reference: 32 bytes of BLAKE2b-256, the size as 8 bytes, big-endian, and up to 16
               bytes that say where a client data store of its own keeps it; none: in the store that holds the record

The same bytes in every language; `protocol/vectors/envelope.json` has examples.
"""

from __future__ import annotations

from msgspec import Struct

from pynenc.errors import MalformedMessage, UnknownVersion
from pynenc.wire.constants import (
    ENVELOPE_KEY_BYTES,
    ENVELOPE_LONGEST_CODEC,
    ENVELOPE_LONGEST_PLACE,
    ENVELOPE_REFERENCE,
    ENVELOPE_SIZE_BYTES,
    ENVELOPE_VERSION,
)

_HEADER = 3
_PLACE = ENVELOPE_KEY_BYTES + ENVELOPE_SIZE_BYTES


class Envelope(Struct, frozen=True):
    """An opened envelope: `data`, or a `reference` to data of `size` bytes kept elsewhere."""

    codec: str
    data: bytes | None
    reference: bytes | None
    size: int


def seal(codec: str, data: bytes) -> bytes:
    """Return `data` as written by `codec`."""
    return _header(codec, 0) + data


def seal_reference(codec: str, reference: bytes, size: int) -> bytes:
    """Return a pointer to `size` bytes, written by `codec`, that a client data store gave `reference` for.

    Args:
        reference: the key (32 bytes), and what the store put behind it.
    """
    key, place = reference[:ENVELOPE_KEY_BYTES], reference[ENVELOPE_KEY_BYTES:]
    if len(key) != ENVELOPE_KEY_BYTES or len(place) > ENVELOPE_LONGEST_PLACE:
        raise ValueError(
            f"a reference to client data has a key of {ENVELOPE_KEY_BYTES} bytes and a place of at most "
            f"{ENVELOPE_LONGEST_PLACE}, not {len(reference)} bytes"
        )
    return _header(codec, ENVELOPE_REFERENCE) + key + size.to_bytes(ENVELOPE_SIZE_BYTES, "big") + place


def open_envelope(sealed: bytes) -> Envelope:
    """Return what `seal` or `seal_reference` wrote.

    Raises:
        UnknownVersion: written by a later release.
        MalformedMessage: not an envelope.
    """
    if len(sealed) < _HEADER:
        raise MalformedMessage(f"{len(sealed)} bytes are too few for an envelope")
    version, flags, length = sealed[0], sealed[1], sealed[2]
    if version != ENVELOPE_VERSION:
        raise UnknownVersion(f"an envelope of version {version}; this release knows version {ENVELOPE_VERSION}")
    begin = _HEADER + length
    if flags & ~ENVELOPE_REFERENCE or not 0 < length <= ENVELOPE_LONGEST_CODEC or begin > len(sealed):
        raise MalformedMessage("a damaged envelope: impossible flags or name of the codec")
    try:
        codec = sealed[_HEADER:begin].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedMessage("a damaged envelope: the name of its codec is not ASCII") from error
    body = sealed[begin:]
    if not flags & ENVELOPE_REFERENCE:
        return Envelope(codec, body, None, len(body))
    if not _PLACE <= len(body) <= _PLACE + ENVELOPE_LONGEST_PLACE:
        raise MalformedMessage(f"a damaged envelope: a reference of {len(body)} bytes")
    size = int.from_bytes(body[ENVELOPE_KEY_BYTES:_PLACE], "big")
    return Envelope(codec, None, body[:ENVELOPE_KEY_BYTES] + body[_PLACE:], size)


def _header(codec: str, flags: int) -> bytes:
    name = codec.encode("ascii")
    if not 0 < len(name) <= ENVELOPE_LONGEST_CODEC:
        raise ValueError(f"the name of a codec has 1 to {ENVELOPE_LONGEST_CODEC} characters: {codec!r}")
    return bytes((ENVELOPE_VERSION, flags, len(name))) + name
