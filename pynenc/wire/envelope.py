"""The envelope around arguments, results and errors in stores.

    byte 0     version, 1
    byte 1     flags: bit 0 set if the body is a reference to the client data store
    byte 2     length of the codec's name, 1..32
    then       the codec's name, ASCII: who wrote the body
    then       the body; of a reference: 32 bytes of BLAKE2b-256, then the size as 8 bytes, big-endian

The same bytes in every language; `protocol/vectors/envelope.json` has examples.
"""

from __future__ import annotations

from msgspec import Struct

from pynenc.errors import MalformedMessage, UnknownVersion

VERSION = 1
_REFERENCE = 0x01
_HEADER = 3
_LONGEST_CODEC = 32
_KEY_BYTES = 32
_SIZE_BYTES = 8


class Envelope(Struct, frozen=True):
    """An opened envelope: `data`, or a `reference` to data of `size` bytes kept elsewhere."""

    codec: str
    data: bytes | None
    reference: bytes | None
    size: int


def seal(codec: str, data: bytes) -> bytes:
    """Return `data` as written by `codec`."""
    return _header(codec, 0) + data


def seal_reference(codec: str, key: bytes, size: int) -> bytes:
    """Return a pointer to `size` bytes, written by `codec`, in the client data store under `key` (32 bytes)."""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a key of the client data store has {_KEY_BYTES} bytes, not {len(key)}")
    return _header(codec, _REFERENCE) + key + size.to_bytes(_SIZE_BYTES, "big")


def open_envelope(sealed: bytes) -> Envelope:
    """Return what `seal` or `seal_reference` wrote.

    Raises:
        UnknownVersion: written by a later release.
        MalformedMessage: not an envelope.
    """
    if len(sealed) < _HEADER:
        raise MalformedMessage(f"{len(sealed)} bytes are too few for an envelope")
    version, flags, length = sealed[0], sealed[1], sealed[2]
    if version != VERSION:
        raise UnknownVersion(f"an envelope of version {version}; this release knows version {VERSION}")
    begin = _HEADER + length
    if flags & ~_REFERENCE or not 0 < length <= _LONGEST_CODEC or begin > len(sealed):
        raise MalformedMessage("a damaged envelope: impossible flags or name of the codec")
    try:
        codec = sealed[_HEADER:begin].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedMessage("a damaged envelope: the name of its codec is not ASCII") from error
    body = sealed[begin:]
    if not flags & _REFERENCE:
        return Envelope(codec, body, None, len(body))
    if len(body) != _KEY_BYTES + _SIZE_BYTES:
        raise MalformedMessage(f"a damaged envelope: a reference of {len(body)} bytes")
    return Envelope(codec, None, body[:_KEY_BYTES], int.from_bytes(body[_KEY_BYTES:], "big"))


def _header(codec: str, flags: int) -> bytes:
    name = codec.encode("ascii")
    if not 0 < len(name) <= _LONGEST_CODEC:
        raise ValueError(f"the name of a codec has 1 to {_LONGEST_CODEC} characters: {codec!r}")
    return bytes((VERSION, flags, len(name))) + name
