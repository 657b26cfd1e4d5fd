"""What a task system has to offer to be measured beside the others."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Protocol


class System(Protocol):
    """One system with its workers, on a fresh store in a folder of its own.

    The task is a no-op that returns its argument; results are stored and read back.
    """

    name: str

    @abstractmethod
    def start(self, folder: Path, *, workers: int) -> None:
        """Open a fresh store in `folder` and start `workers` worker processes; return when they are ready."""

    @abstractmethod
    def submit_one_by_one(self, number: int) -> None:
        """Submit `number` calls, each acknowledged by the store before the next."""

    @abstractmethod
    def submit_bulk(self, number: int) -> None:
        """Submit `number` calls the fastest way the system has."""

    @abstractmethod
    def run_all(self, number: int) -> None:
        """Submit `number` calls and return once every result has been read."""

    @abstractmethod
    def round_trip(self) -> None:
        """Submit one call and wait for its result."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the workers."""
