"""Connections, for threads and for event loops. The one place that makes them."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.waiting import Ready, Wait

from pynenc.backends.loop_end import at_loop_end
from pynenc.backends.postgresql.arrays import register
from pynenc.backends.postgresql.location import DURABILITIES, Location
from pynenc.backends.slots import Slots

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server that does not answer in time."""

    budget_s = 30.0

    def wait(
        self,
        gen: Generator[Wait, Ready | int, T],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> T:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        poll = select.poll()
        descriptor = self.pgconn.socket
        until = time.monotonic() + self.budget_s
        wanted = next(gen)
        try:
            while True:
                events = (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0)
                poll.register(descriptor, events)
                found = poll.poll(max(0.0, until - time.monotonic()) * 1000)
                if not found:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {self.budget_s:g} s")
                happened = found[0][1]
                failed = happened & (select.POLLERR | select.POLLHUP)
                readable = bool(happened & select.POLLIN or failed) and bool(wanted & Wait.R)
                writable = bool(happened & select.POLLOUT or failed) and bool(wanted & Wait.W)
                wanted = gen.send((Ready.R if readable else 0) | (Ready.W if writable else 0))
        except StopIteration as finished:
            result: T = finished.value
            return result


class OfLoop(NamedTuple):
    """What the coroutines of an event loop share."""

    idle: list[psycopg.AsyncConnection[Any]]
    slots: asyncio.Semaphore
    ending: Any
    """Gives it back with the loop."""


@contextmanager
def answered_within(seconds: float, connection: psycopg.AsyncConnection[Any]) -> Iterator[None]:
    """Break the connection under a statement that is not answered in time; it fails as if the server had done it.

    Cancelling the statement instead would have the client library ask a server that is silent, for many seconds, to
    cancel it as well.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _break, connection.fileno())
    try:
        yield
    finally:
        timer.cancel()


def _break(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)


class Pools:
    """Connections of one process: one heap of idle ones for threads, one for each event loop.

    No more are in use at once than a heap may hold, for all threads and for each event loop: thousands that wait for
    results take turns at asking.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._idle: list[BoundedConnection] = []
        self._by_loop: dict[asyncio.AbstractEventLoop, OfLoop] = {}
        self._slots = Slots(location.pool_size, location.public_url)

    def take(self) -> BoundedConnection:
        """Return a connection of this process, new if none is idle, once one may be used; it has to be given back.

        Raises:
            StoreUnavailable: all were in use for the whole call timeout.
        """
        self._leave_parents()
        self._slots.take(self._location.call_timeout_s)
        try:
            return self._idle_one() or self.connect()
        except BaseException:
            self._slots.give()
            raise

    def _idle_one(self) -> BoundedConnection | None:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        return None

    def give(self, connection: BoundedConnection) -> None:
        """Keep a connection for the next one who needs it, if it is good."""
        self._keep(connection)
        self._slots.give()

    def _keep(self, connection: BoundedConnection) -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < self._location.pool_size:
                self._idle.append(connection)
                return
        connection.close()

    def loop_slots(self) -> asyncio.Semaphore:
        """Return what bounds the connections of the running event loop."""
        return self._on_loop().slots

    def _on_loop(self) -> OfLoop:
        self._leave_parents()
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            with self._lock:
                for each in [each for each in self._by_loop if each.is_closed()]:
                    del self._by_loop[each]
            idle: list[psycopg.AsyncConnection[Any]] = []
            slots = asyncio.Semaphore(self._location.pool_size)
            found = self._by_loop[loop] = OfLoop(idle, slots, at_loop_end(lambda: self._leave_loop(loop, idle)))
        return found

    async def _leave_loop(self, loop: asyncio.AbstractEventLoop, idle: list[psycopg.AsyncConnection[Any]]) -> None:
        found = self._by_loop.get(loop)
        if found is not None and found.idle is idle:
            del self._by_loop[loop]
        while idle:
            await idle.pop().close()

    def connect(self) -> BoundedConnection:
        """Open a connection."""
        connection = BoundedConnection.connect(self._location.conninfo, **self._options())
        connection.budget_s = self._location.call_timeout_s
        register(connection.adapters)
        if not self._location.pooled:
            connection.execute(self._settings())
        return connection

    async def atake(self) -> psycopg.AsyncConnection[Any]:
        """Return a connection of the running event loop, new if none is idle."""
        idle = self._on_loop().idle
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return await self.aconnect()

    async def aconnect(self) -> psycopg.AsyncConnection[Any]:
        """Open a connection of the running event loop."""
        opened = await psycopg.AsyncConnection.connect(self._location.conninfo, **self._options())
        register(opened.adapters)
        if not self._location.pooled:
            await opened.execute(self._settings())
        return opened

    async def agive(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Keep a connection of the running event loop, if it is good."""
        idle = self._on_loop().idle
        if not connection.closed and len(idle) < self._location.pool_size:
            idle.append(connection)
        else:
            await connection.close()

    def drop_idle(self) -> None:
        """Close the idle connections of threads: one that broke or fell silent is seldom the only one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def adrop_idle(self) -> None:
        """Close the idle connections of the running event loop."""
        idle = self._on_loop().idle
        while idle:
            await idle.pop().close()

    def close(self) -> None:
        """Close what is idle; connections of event loops go with their descriptors."""
        with self._lock:
            idle, self._idle = self._idle, []
            loops, self._by_loop = self._by_loop, {}
        if self._pid != os.getpid():
            return
        for connection in idle:
            connection.close()
        for ours in loops.values():
            for each in ours.idle:
                each.pgconn.finish()

    def _leave_parents(self) -> None:
        """Forget connections that were opened before a fork: they are the parent's."""
        if self._pid != os.getpid():
            with self._lock:
                # Kept from being closed: closing would tell the server to end the parent's sessions.
                _inherited.append((self._idle, self._by_loop))
                self._pid, self._idle, self._by_loop = os.getpid(), [], {}
                self._slots = Slots(self._location.pool_size, self._location.public_url)

    def _options(self) -> dict[str, Any]:
        return {
            "autocommit": True,
            "prepare_threshold": None if self._location.pooled else 2,
            "connect_timeout": max(1, round(self._location.connect_timeout_s)),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # What the other side does not even acknowledge ends the connection early enough for another attempt.
            "tcp_user_timeout": max(1, int(self._location.call_timeout_s * 1000 / 3)),
        }

    def _settings(self) -> str:
        milliseconds = int(self._location.call_timeout_s * 1000)
        return (
            f"SET synchronous_commit = {DURABILITIES[self._location.durability]}; "
            f"SET statement_timeout = {milliseconds}; SET client_min_messages = warning; "
            "SET plan_cache_mode = force_generic_plan; SET jit = off"
        )


_inherited: list[Any] = []
