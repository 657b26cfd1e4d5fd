"""A bell that a server rings on an event loop: a task listens on a connection of its own, for all who wait there.

States: connecting -> listening -> (the line broke) pausing -> connecting, until it is closed or its loop ends.

Crash points: what was rung before the bell listened, or between two lines, may be lost; so it is heard once more after
each connection was made, after a second one with the word that the line was cut. A line that fell silent without
breaking is noticed by asking now and then, and replaced.
"""

from __future__ import annotations

import asyncio
import contextvars
from abc import abstractmethod

from pynenc.ports.loop_doorbell import Heard, LoopDoorbell

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class ListeningBell(LoopDoorbell):
    """Listens from the moment it is made, on the running event loop."""

    def __init__(self, address: str, heard: Heard, failures: tuple[type[Exception], ...]) -> None:
        """
        Args:
            failures: what ends a connection, but not the bell.
        """
        self.address = address
        self.heard = heard
        self._failures: tuple[type[Exception], ...] = (*failures, OSError, EOFError, TimeoutError)
        self._pause_s = _FIRST_PAUSE_S
        self._was_connected = False
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="pynenc-bell", context=contextvars.Context()
        )

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    @abstractmethod
    async def listen(self) -> None:
        """Serve one connection until it breaks: `connected` once it listens, `heard` for each ring; then close it."""

    def connected(self) -> None:
        """Note that a connection listens."""
        self._pause_s = _FIRST_PAUSE_S
        self.heard(self._was_connected)
        self._was_connected = True

    async def _run(self) -> None:
        while True:
            try:
                await self.listen()
            except self._failures:
                await asyncio.sleep(self._pause_s)
                self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
