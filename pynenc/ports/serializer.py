"""Values to bytes and back."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

from pynenc.ports.types import TypeRegistry


class Serializer(Protocol):
    """Keeps values exactly, or refuses them by path.

    Stored bytes are untrusted: decoding never imports a module and builds only types that `types` knows.
    """

    codec: str
    """Name under which envelopes record who wrote them: `json`, `msgpack`, `pickle`."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """Return bytes from which `decode` rebuilds an equal value of the same types.

        Raises:
            SerializationError: a part of `value` cannot be kept exactly; its `path` says which.
        """

    @abstractmethod
    def decode(self, data: bytes, types: TypeRegistry) -> Any:
        """Rebuild the value.

        Raises:
            SerializationError: the bytes are malformed, or name a type that `types` does not know.
        """
