"""The requests that operations on this store yield."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from pynenc.backends.sqlite.database import Database
from pynenc.backends.sqlite.doorbell import Ringer
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.sealing import refuse_if_sealed
from pynenc.backends.sqlite.unit import Unit
from pynenc.io import Op, Whole
from pynenc.ports.backend import ClockUs

T = TypeVar("T")


class View:
    """What a read sees."""

    __slots__ = ("connection", "names", "now")

    def __init__(self, connection: sqlite3.Connection, now: int, names: QueueNames) -> None:
        self.connection = connection
        self.now = now
        self.names = names


class Store:
    """The database with what units of work need: the clock, the numbers of queues, and bells."""

    def __init__(self, database: Database, ringer: Ringer, clock: ClockUs) -> None:
        self.database = database
        self.ringer = ringer
        self.clock = clock

    def write(self, change: Callable[[Unit], T], *, sealed_too: bool = False) -> Op[T]:
        """Run `change` as one atomic unit; with `sealed_too` in a sealed store as well.

        Raises:
            StoreSealed: everything is or was moved to another store.
        """
        result: T = yield Write(self, change, sealed_too)
        return result

    def read(self, look: Callable[[View], T], *, sealed_too: bool = False) -> Op[T]:
        """Run `look` on one consistent state; with `sealed_too` of a sealed store as well.

        Raises:
            StoreSealed: everything is or was moved to another store.
        """
        result: T = yield Read(self, look, sealed_too)
        return result


class Write(Whole):
    """One atomic unit; rings bells after its commit."""

    __slots__ = ("_change", "_sealed_too", "_store")

    def __init__(self, store: Store, change: Callable[[Unit], Any], sealed_too: bool) -> None:
        self._store = store
        self._change = change
        self._sealed_too = sealed_too

    def send(self) -> Any:
        store = self._store
        result, addresses = store.database.write(self._run)
        if addresses:
            store.ringer.ring(addresses)
        return result

    async def asend(self) -> Any:
        return await self._store.database.in_thread(self.send)

    def _run(self, connection: sqlite3.Connection) -> tuple[Any, list[str]]:
        store = self._store
        if not self._sealed_too:
            refuse_if_sealed(connection, store.database.path)
        names = store.database.queue_names
        # Only now the write lock is held: instants of units grow in the order of their commits.
        unit = Unit(connection, store.clock(), names)
        try:
            return self._change(unit), unit.complete()
        except BaseException:
            names.forget()
            raise


class Read(Whole):
    """One consistent look."""

    __slots__ = ("_look", "_sealed_too", "_store")

    def __init__(self, store: Store, look: Callable[[View], Any], sealed_too: bool) -> None:
        self._store = store
        self._look = look
        self._sealed_too = sealed_too

    def send(self) -> Any:
        return self._store.database.read(self._run)

    async def asend(self) -> Any:
        return await self._store.database.in_thread(self.send)

    def _run(self, connection: sqlite3.Connection) -> Any:
        if not self._sealed_too:
            refuse_if_sealed(connection, self._store.database.path)
        return self._look(View(connection, self._store.clock(), self._store.database.queue_names))
