"""Virtual time, processes that can be killed or frozen, and threads that are operations."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from typing import Any


class World:
    """True time and what is going to happen. Nothing here knows a wall clock."""

    def __init__(self) -> None:
        self.now_us = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        """Let `action` happen `delay_us` from now; what is due at one moment happens in order of announcement."""
        heapq.heappush(self._events, (self.now_us + delay_us, next(self._order), action))

    def step(self) -> bool:
        """Let the next thing happen; False if there is none."""
        if not self._events:
            return False
        self.now_us, _, action = heapq.heappop(self._events)
        action()
        return True


class Process:
    """What is killed or frozen as a whole, with a clock of its own."""

    def __init__(self, name: str, world: World, *, clock_rate: float = 1.0, clock_offset_s: float = 0.0) -> None:
        self.name = name
        self.alive = True
        self.frozen_until_us = 0
        self._world = world
        self.clock_rate = clock_rate
        self._clock_offset_s = clock_offset_s
        self.requests = 0
        """Requests its threads made so far."""

    def clock_s(self) -> float:
        """Its monotonic clock: neither the store's nor anybody else's."""
        return self._clock_offset_s + self._world.now_us * self.clock_rate / 1e6


class Thread:
    """One operation being carried out inside a process."""

    __slots__ = ("finished", "generation", "name", "naps", "on_end", "op", "process")

    def __init__(
        self,
        process: Process,
        name: str,
        op: Generator[Any, Any, Any],
        on_end: Callable[[Any, BaseException | None], None] | None = None,
    ) -> None:
        self.process = process
        self.name = name
        self.op = op
        self.on_end = on_end
        self.generation = 0
        """Grows with every request: a wake-up for an earlier one is void."""
        self.finished = False
        self.naps = 0
        """Waits of no length since it last did anything."""


class Signal:
    """A simulated descriptor: readable or not, with at most one thread waiting."""

    def __init__(self) -> None:
        self.is_set = False
        self.on_set: Callable[[], None] | None = None

    def set(self) -> None:
        """Make it readable and tell who waits."""
        if not self.is_set:
            self.is_set = True
            if self.on_set is not None:
                self.on_set()
