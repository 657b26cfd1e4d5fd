"""How a value lies in an object: compressed where that helps, and whole or recognisably not.

    byte 0..3   "PNCD"
    byte 4      version, 1
    byte 5      0: as it is; 1: zlib
    byte 6..13  size of the value, big-endian
    then        the value

What makes sure that it is the value is its BLAKE2b-256, by which the object is called.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b

MAGIC = b"PNCD"
VERSION = 1
_AS_IT_IS, _ZLIB = 0, 1
_HEADER = 14
_LEVEL = 1
_SAMPLE = 16_384
_WORTH_IT = 0.9
"""What the sample must shrink to: pictures, archives and models are kept as they are."""


class Damaged(Exception):
    """These are not the bytes that were written; the text says why."""


def key_of(data: bytes) -> bytes:
    """Return the key of a value in client data stores."""
    return blake2b(data, digest_size=32).digest()


def wrap(data: bytes, *, compress: bool = True) -> bytes:
    """Return what an object holds for a value."""
    how, body = _AS_IT_IS, data
    if compress and _shrinks(data):
        how, body = _ZLIB, zlib.compress(data, _LEVEL)
    return MAGIC + bytes((VERSION, how)) + len(data).to_bytes(8, "big") + body


def unwrap(parcel: bytes, key: bytes) -> bytes:
    """Return the value of the object that is called `key`.

    Raises:
        Damaged: it is not what was written.
    """
    if len(parcel) < _HEADER or parcel[:4] != MAGIC:
        raise Damaged("it is cut off, or was not written by Pynenc")
    if parcel[4] != VERSION:
        raise Damaged(f"it says it has version {parcel[4]}; this release knows version {VERSION}")
    size = int.from_bytes(parcel[6:_HEADER], "big")
    data = _body(parcel[5], parcel[_HEADER:], size)
    if len(data) != size or key_of(data) != key:
        raise Damaged("its content is not what its name says")
    return data


def _shrinks(data: bytes) -> bool:
    middle = max(0, (len(data) - _SAMPLE) // 2)
    sample = data[middle : middle + _SAMPLE]
    return len(zlib.compress(sample, _LEVEL)) < _WORTH_IT * len(sample)


def _body(how: int, body: bytes, size: int) -> bytes:
    if how == _AS_IT_IS:
        return body
    if how != _ZLIB:
        raise Damaged(f"it says it is compressed by method {how}, which this release does not know")
    expander = zlib.decompressobj()
    try:
        # One byte more than it may have: a damaged or hostile object does not fill the memory.
        data = expander.decompress(body, size + 1)
    except (zlib.error, OverflowError) as error:
        raise Damaged(f"it cannot be decompressed ({error})") from error
    if not expander.eof:
        raise Damaged("it is cut off")
    return data
