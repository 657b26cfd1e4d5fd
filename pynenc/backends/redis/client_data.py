"""Large values beside the records."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.codec import pack
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore


class RedisClientDataStore(ClientDataStore):
    """Keeps large values under the prefix of one app."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def put(self, key: bytes, data: bytes) -> Op[None]:
        yield from self._caller.call("put_data", key, data, durable=True)

    def get(self, key: bytes) -> Op[bytes | None]:
        found: list[bytes | None] = yield from self._caller.get_many([b"b" + key])
        return found[0]

    def collect(self, *, keep: Sequence[bytes], older_than_us: int) -> Op[int]:
        went: int = yield from self._caller.call("collect_data", pack((keep, older_than_us)))
        return went
