"""Large values beside the records."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.postgresql.database import Database
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore


class PostgresqlClientDataStore(ClientDataStore):
    """Keeps large values in the schema of one app."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: bytes, data: bytes) -> Op[None]:
        yield from self._database.call("put_data(bytea, bytea)", key, data)

    def get(self, key: bytes) -> Op[bytes | None]:
        rows = yield from self._database.call("get_data(bytea)", key)
        return rows[0][0] if rows else None

    def collect(self, *, keep: Sequence[bytes], older_than_us: int) -> Op[int]:
        rows = yield from self._database.call("collect_data(bytea[], bigint)", list(keep), older_than_us)
        went: int = rows[0][0]
        return went
