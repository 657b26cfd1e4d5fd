"""The carrier: a few short texts that travel with an invocation from who submits it to who runs it.

A MessagePack map from text to text (`protocol/carrier.json`), nothing at all when empty. It is bounded when it is
written, because every invocation pays for it, and when it is read, because whoever can submit can write anything.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pynenc.errors import CarrierFull, MalformedMessage
from pynenc.wire.constants import CARRIER_LONGEST_KEY, CARRIER_MOST_BYTES, CARRIER_MOST_ENTRIES

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, str])
_HEAD_BYTES = 3
"""Most bytes of the head of a map, of a key and of a value of these sizes."""


class Carrier:
    """A carrier that is being filled: texts by key, never more than may travel."""

    __slots__ = ("_entries", "_size")

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}
        self._size = _HEAD_BYTES

    @property
    def entries(self) -> Mapping[str, str]:
        """What it holds."""
        return self._entries

    def put(self, key: str, value: str) -> None:
        """Let `value` travel under `key`, in place of what was there.

        Raises:
            CarrierFull: it would be more than may travel; nothing changed.
            TypeError: key or value is no text.
        """
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"a carrier holds texts by text: {key!r} -> {value!r:.50}")
        if not 0 < len(key) <= CARRIER_LONGEST_KEY:
            raise CarrierFull(
                f"a key of a carrier has 1 to {CARRIER_LONGEST_KEY} characters, not {len(key)}: {key!r:.50}"
            )
        earlier = self._entries.get(key)
        size = self._size + _weight(key, value) - (0 if earlier is None else _weight(key, earlier))
        if size > CARRIER_MOST_BYTES:
            raise CarrierFull(f"{key!r} does not fit: a carrier has at most {CARRIER_MOST_BYTES} bytes in all")
        if earlier is None and len(self._entries) >= CARRIER_MOST_ENTRIES:
            raise CarrierFull(f"{key!r} does not fit: a carrier has at most {CARRIER_MOST_ENTRIES} entries")
        self._entries[key] = value
        self._size = size

    def encode(self) -> bytes:
        """Return its bytes; none if it is empty."""
        return _encoder.encode(self._entries) if self._entries else b""


def _weight(key: str, value: str) -> int:
    try:
        return len(key.encode()) + len(value.encode()) + 2 * _HEAD_BYTES
    except UnicodeEncodeError as error:
        raise CarrierFull(f"{key!r} does not fit: lone surrogates have no place in a carrier") from error


def decode_carrier(data: bytes) -> dict[str, str]:
    """Return what a carrier holds.

    Raises:
        MalformedMessage: the bytes are no carrier, or more than may travel.
    """
    if not data:
        return {}
    if len(data) > CARRIER_MOST_BYTES:
        raise MalformedMessage(f"a carrier of {len(data)} bytes; at most {CARRIER_MOST_BYTES} may travel")
    try:
        entries = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"these bytes are no carrier: {error}") from error
    if len(entries) > CARRIER_MOST_ENTRIES or any(not 0 < len(key) <= CARRIER_LONGEST_KEY for key in entries):
        raise MalformedMessage(f"a carrier of {len(entries)} entries, or with an impossible key")
    return entries
