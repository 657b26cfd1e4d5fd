"""The client data store of an app: that of its invocations, or one of its own beside it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from pynenc.errors import ConfigurationError, SerializationError
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.wire.constants import ENVELOPE_KEY_BYTES

if TYPE_CHECKING:
    from pynenc.ports.backend import Backend


class RoutedDataStore(ClientDataStore):
    """Writes to the store that the app names; reads from whichever a reference says.

    So an app can begin to keep large values elsewhere, or cease to, while old ones are still read.

    Args:
        own: the client data store of the store of invocations.
        apart: the one that the app names; None: it names none.
    """

    def __init__(self, own: ClientDataStore, apart: ClientDataStore | None) -> None:
        self._own = own
        self._apart = apart

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        return (self._apart or self._own).put(key, data)

    def get(self, reference: bytes) -> Op[bytes | None]:
        if len(reference) > ENVELOPE_KEY_BYTES:
            if self._apart is None:
                raise ConfigurationError(
                    f"its data {reference.hex()} is in a client data store of its own, and this app names none: set "
                    "client_data_store to the URL that the app which wrote it has"
                )
            # What is apart checks itself what it reads.
            return (yield from self._apart.get(reference))
        data = yield from self._own.get(reference)
        if data is not None and blake2b(data, digest_size=ENVELOPE_KEY_BYTES).digest() != reference:
            raise SerializationError(f"its data {reference.hex()} is damaged in the client data store")
        return data

    def collect(self, *, before_us: int) -> Op[int]:
        """Drop old data of the store that the app names; what the store of invocations keeps, its `tick` drops."""
        if self._apart is None:
            return 0
        return (yield from self._apart.collect(before_us=before_us))


def collect_unnamed(data: ClientDataStore, backend: Backend) -> Op[int]:
    """Drop what no known invocation can name any more; return how many values went."""
    before_us = yield from backend.state_backend.unnamed_before()
    return (yield from data.collect(before_us=before_us))
