"""Pickle for those who ask for it: signed, so that only holders of a key can make an app run what it says."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from collections.abc import Sequence
from typing import Any

from pynenc.errors import ConfigurationError, SerializationError
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry

_SIGNATURE_BYTES = 32
_SHORTEST_KEY = 16


class PickleSerializer(Serializer):
    """Keeps whatever pickle keeps, behind an HMAC-SHA256 signature.

    Args:
        keys: secrets of at least 16 bytes; the first signs, all verify (rotate by putting a new one in front).
    """

    codec = "pickle"

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < _SHORTEST_KEY for key in keys):
            raise ConfigurationError(
                f"the pickle serializer needs at least one key of {_SHORTEST_KEY} bytes or more; "
                "set serializer_keys to a secret of your own"
            )
        self._keys = tuple(keys)

    def encode(self, value: Any) -> bytes:
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as error:
            raise SerializationError(f"pickle cannot keep this value: {error}") from error
        return _sign(self._keys[0], data) + data

    def decode(self, data: bytes, types: TypeRegistry) -> Any:
        signature, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not any(hmac.compare_digest(signature, _sign(key, body)) for key in self._keys):
            raise SerializationError("stored pickle bytes are not signed with a key of this app; they were not opened")
        try:
            return pickle.loads(body)  # noqa: S301 - only bytes that a holder of the key signed come this far
        except Exception as error:
            raise SerializationError(f"stored pickle bytes cannot be opened: {error}") from error


def _sign(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()
