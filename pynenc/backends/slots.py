"""A bound on the connections that the threads of a process use at once."""

from __future__ import annotations

from queue import Empty, SimpleQueue

from pynenc.errors import StoreUnavailable


class Slots:
    """How many connections threads may use at once; whoever finds none waits for one."""

    def __init__(self, number: int, place: str) -> None:
        self._number = number
        self._place = place
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(number):
            self._free.put(None)

    def take(self, timeout_s: float) -> None:
        """Take one.

        Raises:
            StoreUnavailable: none came free in time; nothing happened.
        """
        try:
            self._free.get(timeout=max(0.0, timeout_s))
        except Empty:
            raise StoreUnavailable(
                f"all {self._number} connections of this process to {self._place} were in use for the whole call "
                "timeout; raise pool_size"
            ) from None

    def give(self) -> None:
        """Give it back."""
        self._free.put(None)
