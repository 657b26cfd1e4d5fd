"""Large arguments and results in the same file."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.sqlite.requests import Store, View
from pynenc.backends.sqlite.unit import Unit
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore


class SqliteClientDataStore(ClientDataStore):
    """Keeps bytes under the hash of their content, in the table `blob`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, key: bytes, data: bytes) -> Op[None]:
        return self._store.write(lambda unit: _put(unit, key, data))

    def get(self, key: bytes) -> Op[bytes | None]:
        return self._store.read(lambda view: _get(view, key))

    def collect(self, *, keep: Sequence[bytes], older_than_us: int) -> Op[int]:
        return self._store.write(lambda unit: _collect(unit, set(keep), unit.now - older_than_us))


def _put(unit: Unit, key: bytes, data: bytes) -> None:
    unit.connection.execute(
        "INSERT INTO blob (key, data, written_at) VALUES (?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at",
        (key, data, unit.now),
    )


def _get(view: View, key: bytes) -> bytes | None:
    row = view.connection.execute("SELECT data FROM blob WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def _collect(unit: Unit, kept: set[bytes], written_before: int) -> int:
    old = unit.connection.execute("SELECT key FROM blob WHERE written_at < ?", (written_before,)).fetchall()
    going = [row for row in old if row[0] not in kept]
    unit.connection.executemany("DELETE FROM blob WHERE key = ?", going)
    return len(going)
