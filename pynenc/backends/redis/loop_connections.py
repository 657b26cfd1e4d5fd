"""The connections of one event loop to one server or failover group, or its client of a cluster.

A list of plain connections instead of the client library's pool, and one timeout around each exchange instead of one
around each of its steps: that more than halves the processor time of a command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from redis import exceptions

from pynenc.backends.loop_end import at_loop_end
from pynenc.backends.redis import clients
from pynenc.backends.redis.location import Location


class LoopConnections:
    """Opens nothing before the first use; closes everything when the running event loop ends.

    Args:
        left: called when that has happened.
    """

    def __init__(self, location: Location, left: Callable[[LoopConnections], None]) -> None:
        is_cluster = location.kind == "cluster"
        self.client: Any = (clients.async_cluster_of if is_cluster else clients.async_pool_of)(location)
        self.slots = asyncio.Semaphore(location.pool_size)
        """What bounds the connections in use."""
        self._location = location
        self._left = left
        self._idle: list[Any] = []
        self._ending = at_loop_end(self._close)

    async def take(self) -> Any:
        """Return a connection, new if none is idle; it has to be given back."""
        while self._idle:
            connection = self._idle.pop()
            if await _is_usable(connection):
                return connection
            await connection.disconnect(nowait=True)
        return await self._connect(self.client)

    def give(self, connection: Any) -> None:
        """Keep a connection that is good for the next one who needs it."""
        self._idle.append(connection)

    async def drop_idle(self) -> None:
        """Close the idle ones: one that fell silent is seldom the only one."""
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def new_for(self, key: bytes) -> Any:
        """Return a connection to where a key is, which belongs to the caller."""
        if self._location.kind != "cluster":
            return await self._connect(self.client)
        # From the answer the client learns which node has the key by now.
        await self.client.execute_command("EXISTS", key)
        node = self.client.get_node_from_key(key)
        place = replace(self._location, kind="single", hosts=((node.host, node.port),))
        return await self._connect(clients.async_pool_of(place))

    async def _connect(self, pool: Any) -> Any:
        connection = pool.make_connection()
        # Sentinels are asked for the master one after the other.
        places = 1 + len(self._location.hosts) if self._location.kind == "sentinel" else 1
        async with asyncio.timeout(places * self._location.connect_timeout_s):
            await connection.connect()
        return connection

    async def _close(self) -> None:
        self._left(self)
        await self.drop_idle()
        try:
            await clients.close_on_loop(self.client)
        except (exceptions.RedisError, exceptions.RedisClusterException, OSError):
            # What cannot be closed in good order is closed with its descriptor.
            pass


async def _is_usable(connection: Any) -> bool:
    """Whether nothing has arrived that nobody asked for, not even the end."""
    # Its name before redis-py 8.
    look = getattr(connection, "can_read", None) or connection.can_read_destructive
    try:
        return connection.is_connected and not await look()
    except (exceptions.RedisError, OSError):
        return False
