"""What a task system has to offer to be measured beside the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter, sleep
from typing import Protocol


class System(Protocol):
    """One system with its workers, on a fresh store.

    The task is a no-op that returns its argument; results are stored and read back.
    """

    store: str
    """One of `services.STORES`: systems on one store are compared with each other."""
    versions: Mapping[str, str]
    """Of what is measured, once it was started."""

    @abstractmethod
    def start(self, folder: Path, *, workers: int) -> None:
        """Open a fresh store, in `folder` if it is a file, and start `workers` worker processes.

        Return when they are ready: when a first call has returned.
        """

    @abstractmethod
    def submit_one_by_one(self, number: int) -> None:
        """Submit `number` calls, each acknowledged by the store before the next."""

    @abstractmethod
    def submit_bulk(self, number: int) -> None:
        """Submit `number` calls the fastest way the system has."""

    @abstractmethod
    def run_all(self, number: int) -> None:
        """Submit `number` calls the fastest way and return once every result has been read."""

    @abstractmethod
    def round_trips(self, number: int, *, pause_s: float) -> list[float]:
        """Submit a call and wait for its result, `number` times, each after a pause; return the seconds of each."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the workers. Safe to repeat, and after a start that failed."""


def seconds_of_each(work: Callable[[], None], number: int, pause_s: float) -> list[float]:
    """Return the seconds that each of `number` runs of `work` takes, with a pause before each."""
    times = []
    for _ in range(number):
        sleep(pause_s)
        begin = perf_counter()
        work()
        times.append(perf_counter() - begin)
    return times
