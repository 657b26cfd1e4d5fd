"""How a sleeping event loop learns that there is something for it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from pynenc.polling import readable
from pynenc.ports.doorbell import Doorbell

_LOOK_S = 0.05
"""How often a bell is looked at where nothing watches it."""

Heard = Callable[[bool], None]
"""Called on the event loop when a bell rang; with True if its line was cut before, see `Doorbell.was_cut`."""


class LoopDoorbell(Protocol):
    """Tells one event loop that a session's `exchange` should be called. No thread stands behind it.

    As with a `Doorbell`, a ring may be lost or idle. It is used, and closed, on the loop that it was made on.
    """

    address: str
    """What producers need to ring; goes into `SessionInfo.doorbell`."""

    @abstractmethod
    async def close(self) -> None:
        """Give back what it holds. Repeating changes nothing."""


class DescriptorOnLoop(LoopDoorbell):
    """The bell of a process, whose descriptor the running event loop watches."""

    def __init__(self, bell: Doorbell, heard: Heard) -> None:
        self.address = bell.address
        self._bell = bell
        self._heard = heard
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._loop.add_reader(bell.fileno(), self._listen)
        except NotImplementedError:
            # The default loop of Windows watches no descriptors.
            self._look()

    def _look(self) -> None:
        if readable([self._bell.fileno()], 0.0):
            self._listen()
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    def _listen(self) -> None:
        self._bell.clear()
        self._heard(self._bell.was_cut())

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        else:
            self._loop.remove_reader(self._bell.fileno())
        self._bell.close()
