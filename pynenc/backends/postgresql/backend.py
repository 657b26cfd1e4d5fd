"""The PostgreSQL store: its ports over the connections of one process."""

from __future__ import annotations

from typing import Any

from pynenc.backends.postgresql.client_data import PostgresqlClientDataStore
from pynenc.backends.postgresql.database import Database
from pynenc.backends.postgresql.diagnosing import diagnose
from pynenc.backends.postgresql.doorbell import Bells
from pynenc.backends.postgresql.dump import dump
from pynenc.backends.postgresql.location import Location
from pynenc.backends.postgresql.orchestrator import PostgresqlOrchestrator
from pynenc.backends.postgresql.state_backend import PostgresqlStateBackend
from pynenc.backends.postgresql.transactional import PostgresqlTransaction
from pynenc.backends.postgresql.transfer import PostgresqlTransfer
from pynenc.backends.soundness import diagnose_records
from pynenc.io import Op, run
from pynenc.ports.backend import Backend, Capabilities, ClockUs, Finding
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.state_backend import StateBackend
from pynenc.ports.transaction import Transaction
from pynenc.ports.transfer import Transfer

_SURVIVES = {"none": "process", "normal": "process", "full": "power", "replicated": "power"}


class PostgresqlBackend(Backend):
    """A store in schemas of its own in a PostgreSQL database."""

    def __init__(self, location: Location, *, clock: ClockUs | None = None) -> None:
        self._bells = Bells(location)
        self.database = Database(location, clock)
        self.url = location.public_url
        self.capabilities = Capabilities(
            across_processes=True, durability=_SURVIVES[location.durability], push=not location.pooled, gates=True
        )
        self.orchestrator: Orchestrator = PostgresqlOrchestrator(self.database, self._bells)
        self.state_backend: StateBackend = PostgresqlStateBackend(self.database)
        self.client_data_store: ClientDataStore = PostgresqlClientDataStore(self.database)
        self.transfer: Transfer = PostgresqlTransfer(self.database)

    def close(self) -> None:
        self._bells.close()
        self.database.close()

    def end_leases(self) -> None:
        """Let every live session count as expired, as if its process had been silent for long: for tests."""
        run(self.database.call("end_leases"))

    def transaction(self, connection: object) -> Transaction:
        return PostgresqlTransaction(self.database, connection)

    def migrate(self, *, post: bool = False) -> Op[list[str]]:
        return (yield from self.database.migrate(post=post))

    def diagnose(self) -> Op[list[Finding]]:
        findings = yield from diagnose(self.database)
        return findings + (yield from diagnose_records(self.orchestrator, findings))

    def dump(self) -> Op[dict[str, Any]]:
        return dump(self.database)
