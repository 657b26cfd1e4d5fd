"""The SQLite store as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pynenc.backends.sqlite.blobs import SqliteClientDataStore
from pynenc.backends.sqlite.database import Database
from pynenc.backends.sqlite.diagnosing import diagnose
from pynenc.backends.sqlite.doorbell import Ringer
from pynenc.backends.sqlite.dump import dump
from pynenc.backends.sqlite.location import Location
from pynenc.backends.sqlite.migrating import finish
from pynenc.backends.sqlite.orchestrator import SqliteOrchestrator
from pynenc.backends.sqlite.requests import Store
from pynenc.backends.sqlite.state_backend import SqliteStateBackend
from pynenc.backends.sqlite.transactional import SqliteTransaction
from pynenc.backends.sqlite.transfer import SqliteTransfer
from pynenc.clock import system_clock_us
from pynenc.io import Op
from pynenc.ports.backend import Backend, Capabilities, ClockUs, Finding
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.state_backend import StateBackend
from pynenc.ports.transaction import Transaction
from pynenc.ports.transfer import Transfer

_PROMISES = {"none": "none", "normal": "process", "full": "power"}


class SqliteBackend(Backend):
    """One file that any number of processes of one machine share."""

    def __init__(self, location: Location, *, clock: ClockUs = system_clock_us) -> None:
        self.url = location.url
        self.path = location.path
        self.capabilities = Capabilities(
            across_processes=True, durability=_PROMISES[location.durability], push=True, gates=True
        )
        self._store = Store(Database(location), Ringer(Path(f"{location.path}.wake")), clock)
        self.orchestrator: Orchestrator = SqliteOrchestrator(self._store)
        self.state_backend: StateBackend = SqliteStateBackend(self._store)
        self.client_data_store: ClientDataStore = SqliteClientDataStore(self._store)
        self.transfer: Transfer = SqliteTransfer(self._store)

    def close(self) -> None:
        self._store.database.close()
        self._store.ringer.close()

    def transaction(self, connection: object) -> Transaction:
        return SqliteTransaction(self._store, self.path, connection)

    def migrate(self, *, post: bool = False) -> Op[list[str]]:
        # Opening the file adds what is missing.
        finished = yield from self._store.write(lambda unit: finish(unit.connection) if post else [])
        done, self._store.database.migrated = self._store.database.migrated, []
        return done + finished

    def diagnose(self) -> Op[list[Finding]]:
        return self._store.read(lambda view: diagnose(view, self.path, os.path.getsize(self.path)))

    def dump(self) -> Op[dict[str, Any]]:
        return self._store.read(lambda view: dump(view.connection, view.names, view.now))
