"""Large values beside the records."""

from __future__ import annotations

from pynenc.backends.postgresql.database import Database
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore


class PostgresqlClientDataStore(ClientDataStore):
    """Keeps large values in the schema of one app."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        yield from self._database.call("put_data(bytea, bytea)", key, data)
        return key

    def get(self, reference: bytes) -> Op[bytes | None]:
        rows = yield from self._database.call("get_data(bytea)", reference)
        return rows[0][0] if rows else None

    def collect(self, *, before_us: int) -> Op[int]:
        rows = yield from self._database.call("collect_data(bigint)", before_us)
        went: int = rows[0][0]
        return went
