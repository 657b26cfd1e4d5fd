"""The one lock and the one state of a memory store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from pynenc.backends.memory.doorbell import ring
from pynenc.backends.memory.state import MemoryState
from pynenc.io import Immediate, Op
from pynenc.ports.backend import ClockUs
from pynenc.ports.transfer import refusal

T = TypeVar("T")

PLACE = "memory://"


class AtomicState:
    """Runs functions on the state one at a time, and rings afterwards."""

    def __init__(self, clock: ClockUs) -> None:
        self._state = MemoryState()
        self._clock = clock
        self._lock = threading.Lock()

    def atomic(self, function: Callable[[MemoryState, int], T], *, moving: bool = False) -> Op[T]:
        """Apply `function` to (state, now) as one atomic unit.

        Args:
            moving: it is part of a move, so a seal does not stop it.

        Raises:
            StoreSealed: everything is or was moved to another store.
        """
        result: T = yield Immediate(lambda: self._apply(function, moving))
        return result

    def _apply(self, function: Callable[[MemoryState, int], T], moving: bool) -> T:
        with self._lock:
            if self._state.seal and not moving:
                raise refusal(self._state.seal, PLACE)
            try:
                return function(self._state, self._clock())
            finally:
                addresses, self._state.to_ring = self._state.to_ring, []
                for address in addresses:
                    ring(address)
