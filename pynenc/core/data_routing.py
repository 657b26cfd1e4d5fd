"""The client data store of an app: that of its invocations, or one of its own beside it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from pynenc.errors import ConfigurationError, SerializationError
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.wire.constants import ENVELOPE_KEY_BYTES

if TYPE_CHECKING:
    from pynenc.ports.backend import Backend


class DataStores(Protocol):
    """What an app has."""

    @property
    def backend(self) -> Backend: ...

    @property
    def data_store_apart(self) -> ClientDataStore | None:
        """The client data store that the app names; None: it names none."""


class RoutedDataStore(ClientDataStore):
    """Writes to the store that the app names; reads from whichever a reference says.

    So an app can begin to keep large values elsewhere, or cease to, while old ones are still read.

    Args:
        stores: has both; asked for each operation, because an app may be given other ones.
    """

    def __init__(self, stores: DataStores) -> None:
        self._stores = stores

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        return (self._stores.data_store_apart or self._stores.backend.client_data_store).put(key, data)

    def put_many(self, items: Sequence[tuple[bytes, bytes]]) -> Op[list[bytes]]:
        return (self._stores.data_store_apart or self._stores.backend.client_data_store).put_many(items)

    def get(self, reference: bytes) -> Op[bytes | None]:
        if len(reference) > ENVELOPE_KEY_BYTES:
            apart = self._stores.data_store_apart
            if apart is None:
                raise ConfigurationError(
                    f"its data {reference.hex()} is in a client data store of its own, and this app names none: set "
                    "client_data_store to the URL that the app which wrote it has"
                )
            # What is apart checks itself what it reads.
            return (yield from apart.get(reference))
        data = yield from self._stores.backend.client_data_store.get(reference)
        if data is not None and blake2b(data, digest_size=ENVELOPE_KEY_BYTES).digest() != reference:
            raise SerializationError(f"its data {reference.hex()} is damaged in the client data store")
        return data

    def collect(self, *, before_us: int) -> Op[int]:
        """Drop old data of the store that the app names; what the store of invocations keeps, its `tick` drops."""
        apart = self._stores.data_store_apart
        return 0 if apart is None else (yield from apart.collect(before_us=before_us))


class NearDataStore(RoutedDataStore):
    """Writes to the store of invocations: for what is not large, but many calls name."""

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        return self._stores.backend.client_data_store.put(key, data)

    def put_many(self, items: Sequence[tuple[bytes, bytes]]) -> Op[list[bytes]]:
        return self._stores.backend.client_data_store.put_many(items)


def collect_unnamed(stores: DataStores) -> Op[int]:
    """Drop what no known invocation can name any more from the client data store apart; return how many went."""
    apart = stores.data_store_apart
    if apart is None:
        return 0
    before_us = yield from stores.backend.state_backend.unnamed_before()
    return (yield from apart.collect(before_us=before_us))
