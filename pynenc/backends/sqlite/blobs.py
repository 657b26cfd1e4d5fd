"""Large arguments and results in the same file."""

from __future__ import annotations

from pynenc.backends.sqlite.requests import Store, View
from pynenc.backends.sqlite.unit import Unit
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore


class SqliteClientDataStore(ClientDataStore):
    """Keeps bytes under the hash of their content, in the table `blob`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        return self._store.write(lambda unit: _put(unit, key, data))

    def get(self, reference: bytes) -> Op[bytes | None]:
        return self._store.read(lambda view: _get(view, reference))

    def collect(self, *, before_us: int) -> Op[int]:
        return self._store.write(lambda unit: _collect(unit, before_us))


def _put(unit: Unit, key: bytes, data: bytes) -> bytes:
    unit.connection.execute(
        "INSERT INTO blob (key, data, written_at) VALUES (?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at",
        (key, data, unit.now),
    )
    return key


def _get(view: View, key: bytes) -> bytes | None:
    row = view.connection.execute("SELECT data FROM blob WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def _collect(unit: Unit, written_before: int) -> int:
    return unit.connection.execute("DELETE FROM blob WHERE written_at < ?", (written_before,)).rowcount
