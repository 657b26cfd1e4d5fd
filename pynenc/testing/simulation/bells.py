"""Doorbells: the store rings its own sort; simulated processes hear of it in virtual time."""

from __future__ import annotations

import select

from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator
from pynenc.testing.simulation.world import Signal


class SimulatedBell(Doorbell):
    """What a process waits on: has the address of a real bell, and is rung by the simulator."""

    def __init__(self, address: str, number: int) -> None:
        self.address = address
        self.signal = Signal()
        self._number = number

    def fileno(self) -> int:
        return self._number

    def clear(self) -> None:
        self.signal.is_set = False

    def ring(self) -> None:
        self.signal.set()

    def close(self) -> None:
        """Nothing to give back."""


class Bells:
    """The bells of all processes of a run."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._pairs: dict[int, tuple[Doorbell, SimulatedBell]] = {}
        self._poller = select.poll()

    def new(self, number: int) -> SimulatedBell:
        """Return the bell of a new process.

        Args:
            number: its simulated descriptor.
        """
        real = self._orchestrator.doorbell()
        bell = SimulatedBell(real.address, number)
        self._pairs[real.fileno()] = (real, bell)
        self._poller.register(real.fileno(), select.POLLIN)
        return bell

    def rung(self) -> list[SimulatedBell]:
        """Return the bells that the store rang since the last call."""
        rung = []
        for descriptor, _ in self._poller.poll(0):
            real, bell = self._pairs[descriptor]
            real.clear()
            rung.append(bell)
        return sorted(rung, key=SimulatedBell.fileno)

    def close(self) -> None:
        """Give the descriptors back."""
        for real, _ in self._pairs.values():
            real.close()
