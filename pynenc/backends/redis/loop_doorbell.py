"""Bells that the server rings on an event loop: one connection blocks on the list of one bell; see `doorbell`."""

from __future__ import annotations

import asyncio
import os

from redis import exceptions

from pynenc.backends.loop_listening import ListeningBell
from pynenc.backends.redis.cancellations import Cancellations
from pynenc.backends.redis.connecting import Connections
from pynenc.backends.redis.doorbell import BLOCK_S, SILENT_S
from pynenc.ports.loop_doorbell import Heard

_NUMBER = 1
"""Of the only bell on its list."""


class RedisLoopBell(ListeningBell):
    """Rung through a list of its own, in which a ring waits while nobody listens."""

    def __init__(self, connections: Connections, heard: Heard) -> None:
        self._connections = connections
        list_name = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._key = connections.prefix + b"bell:" + list_name.encode()
        super().__init__(f"{list_name}/{_NUMBER}", heard, (exceptions.RedisError, exceptions.RedisClusterException))

    async def listen(self) -> None:
        cancellations = Cancellations()
        connection = await self._connections.on_loop().new_for(self._key)
        try:
            cancellations.heed()
            self.connected()
            while True:
                async with asyncio.timeout(SILENT_S):
                    await connection.send_command("BLPOP", self._key, BLOCK_S)
                    popped = await connection.read_response(disable_decoding=True)
                if popped is not None:
                    self.heard(False)
                    # Whoever heard it asks the store before this one does.
                    await asyncio.sleep(0)
        finally:
            await connection.disconnect(nowait=True)
