"""Reads of what the engine writes, on SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.sqlite.administration import purge
from pynenc.backends.sqlite.queries import (
    children,
    count,
    dead,
    listing,
    outcomes,
    snapshots,
    statuses,
    unnamed_before,
)
from pynenc.backends.sqlite.requests import Store
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import DeadFilter, DeadPage, ListFilter, Outcome, Snapshot
from pynenc.model.status import InvocationStatus
from pynenc.ports.state_backend import StateBackend


class SqliteStateBackend(StateBackend):
    """Answers from the file that `store` opens, each time from one consistent state."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def snapshots(self, ids: Sequence[InvocationId]) -> Op[list[Snapshot | None]]:
        return self._store.read(lambda view: snapshots(view.connection, view.names, ids))

    def outcomes(self, ids: Sequence[InvocationId]) -> Op[list[Outcome | None]]:
        return self._store.read(lambda view: outcomes(view.connection, ids))

    def statuses(self, ids: Sequence[InvocationId]) -> Op[list[InvocationStatus | None]]:
        return self._store.read(lambda view: statuses(view.connection, ids))

    def listing(self, wanted: ListFilter) -> Op[list[Snapshot]]:
        return self._store.read(lambda view: listing(view.connection, view.names, wanted))

    def dead(self, wanted: DeadFilter) -> Op[DeadPage]:
        return self._store.read(lambda view: dead(view.connection, view.names, wanted))

    def children(self, parent: InvocationId) -> Op[list[InvocationId]]:
        return self._store.read(lambda view: children(view.connection, parent))

    def count(self, *, task_id: str | None = None, statuses: Sequence[InvocationStatus] = ()) -> Op[int]:
        return self._store.read(lambda view: count(view.connection, task_id, statuses))

    def unnamed_before(self) -> Op[int]:
        return self._store.read(lambda view: unnamed_before(view.connection, view.now))

    def purge(self, ids: Sequence[InvocationId] | None = None) -> Op[int]:
        return self._store.write(lambda unit: purge(unit, ids))
