"""Bells that the server rings on an event loop: one connection listens on the channel of one bell; see `doorbell`.

The loop watches the connection's descriptor; nothing of the client library waits meanwhile, so that ending needs no
request that cancels another one. Behind pgbouncer in transaction mode the bell rings by the clock, unconnected.
"""

from __future__ import annotations

import asyncio
import os

import psycopg

from pynenc.backends.loop_listening import ListeningBell
from pynenc.backends.postgresql.connecting import Pools, answered_within
from pynenc.backends.postgresql.doorbell import ALIVE_S, POLL_S
from pynenc.backends.postgresql.location import Location
from pynenc.ports.loop_doorbell import Heard

_NUMBER = 1
"""Of the only bell on its channel."""


class PostgresqlLoopBell(ListeningBell):
    """Rung through a channel of its own."""

    def __init__(self, location: Location, pools: Pools, heard: Heard) -> None:
        self._location = location
        self._pools = pools
        self._channel = f"pynenc_{os.getpid()}_{os.urandom(6).hex()}"
        address = str(_NUMBER) if location.pooled else f"{self._channel}/{_NUMBER}"
        super().__init__(address, heard, (psycopg.Error,))

    async def listen(self) -> None:
        if self._location.pooled:
            await self._ring_by_the_clock()
        connection = await self._pools.aconnect()
        try:
            await connection.execute(f"LISTEN {self._channel}")
            self.connected()
            while True:
                if not await _readable(connection.fileno(), ALIVE_S):
                    with answered_within(self._location.call_timeout_s, connection):
                        await connection.execute("SELECT 1")
                    self.heard(False)
                elif _was_notified(connection):
                    self.heard(False)
        finally:
            connection.pgconn.finish()

    async def _ring_by_the_clock(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            self.heard(False)


def _was_notified(connection: psycopg.AsyncConnection[object]) -> bool:
    """Take in what has arrived; return whether a notification was among it."""
    connection.pgconn.consume_input()
    was_notified = False
    while connection.pgconn.notifies() is not None:
        was_notified = True
    return was_notified


async def _readable(descriptor: int, timeout_s: float) -> bool:
    """Wait until `descriptor` can be read, or has ended, for at most `timeout_s`; return whether it is."""
    loop = asyncio.get_running_loop()
    happened: asyncio.Future[bool] = loop.create_future()

    def happen(is_readable: bool) -> None:
        if not happened.done():
            happened.set_result(is_readable)

    loop.add_reader(descriptor, happen, True)
    timer = loop.call_later(timeout_s, happen, False)
    try:
        return await happened
    finally:
        timer.cancel()
        loop.remove_reader(descriptor)
