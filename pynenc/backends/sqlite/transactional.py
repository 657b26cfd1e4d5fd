"""Submissions on a connection of the user's own to the store's file, in whatever transaction is open there."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any

from pynenc.backends.driver_connections import driver_connection
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.requests import Store
from pynenc.backends.sqlite.sealing import refuse_if_sealed
from pynenc.backends.sqlite.submitting import check, submit_each
from pynenc.backends.sqlite.unit import Unit
from pynenc.errors import ConfigurationError
from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.model.records import Submission, SubmitReply
from pynenc.ports.transaction import Transaction

_FIRST_LOOK_S = 0.002
_LONGEST_WAIT_S = 60.0
_KINDS = "a sqlite3 connection, a SQLAlchemy session or connection of sqlite, or a Django connection"


class SqliteTransaction(Transaction):
    """A transaction on a connection to the store's file."""

    def __init__(self, store: Store, path: str, given: Any) -> None:
        # The tables have to be there before the user's transaction needs them.
        run(store.read(lambda _: None))
        self._store = store
        self._path = path
        self._connection = driver_connection(given)
        self._addresses: list[str] = []
        self._last: InvocationId | None = None
        if not isinstance(self._connection, sqlite3.Connection):
            raise ConfigurationError(f"submitting inside a transaction takes {_KINDS}, not {type(given).__name__}")
        files = [row[2] for row in self._connection.execute("PRAGMA database_list").fetchall() if row[1] == "main"]
        if not files or not files[0] or not os.path.samefile(files[0], path):
            raise ConfigurationError(
                f"the connection is to another file than the store {path}: submitting inside a transaction needs one"
            )

    def submit(self, items: Sequence[Submission]) -> list[SubmitReply]:
        check(items)
        connection = self._connection
        rows, connection.row_factory = connection.row_factory, None
        try:
            # Without a transaction of the user's, on a connection that begins none by itself, this is one of its own.
            alone = not connection.in_transaction and connection.isolation_level is None
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            connection.execute("SAVEPOINT pynenc")
            try:
                refuse_if_sealed(connection, self._path)
                unit = Unit(connection, self._store.clock(), QueueNames())
                replies = submit_each(unit, items)
                self._addresses += unit.complete()
            except BaseException:
                connection.execute("ROLLBACK TO pynenc")
                raise
            finally:
                connection.execute("RELEASE pynenc")
                if alone:
                    connection.execute("COMMIT")
        finally:
            connection.row_factory = rows
        self._last = items[-1].invocation_id if items else self._last
        return replies

    async def asubmit(self, items: Sequence[Submission]) -> list[SubmitReply]:
        return self.submit(items)

    def left(self) -> None:
        """Ring for what was submitted once it can be seen, which nobody tells of: look for it for a while."""
        addresses, self._addresses = self._addresses, []
        if addresses and self._last is not None:
            threading.Thread(target=self._ring_when_committed, args=(self._last, addresses), daemon=True).start()

    def _ring_when_committed(self, invocation_id: InvocationId, addresses: list[str]) -> None:
        pause_s, until_s = _FIRST_LOOK_S, time.monotonic() + _LONGEST_WAIT_S
        while time.monotonic() < until_s:
            if run(self._store.read(lambda view: _is_known(view.connection, invocation_id))):
                self._store.ringer.ring(addresses)
                return
            time.sleep(pause_s)
            pause_s = min(1.0, pause_s * 2)


def _is_known(connection: sqlite3.Connection, invocation_id: InvocationId) -> bool:
    return connection.execute("SELECT 1 FROM call WHERE id = ?", (invocation_id,)).fetchone() is not None
