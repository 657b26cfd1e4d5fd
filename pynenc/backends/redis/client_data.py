"""Large values beside the records."""

from __future__ import annotations

from pynenc.backends.redis.caller import Caller
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore


class RedisClientDataStore(ClientDataStore):
    """Keeps large values under the prefix of one app."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        yield from self._caller.call("put_data", key, data, durable=True)
        return key

    def get(self, reference: bytes) -> Op[bytes | None]:
        found: list[bytes | None] = yield from self._caller.get_many([b"b" + reference])
        return found[0]

    def collect(self, *, before_us: int) -> Op[int]:
        went: int = yield from self._caller.call("collect_data", before_us)
        return went
