"""What goes wrong on the way and to processes, chosen by a seed and numbered, so that it can be left out."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from pynenc.testing.simulation.link import StoreCall
from pynenc.testing.simulation.scenario import Scenario


class CrashPoint(Struct, frozen=True):
    """Kill a process at its k-th request to the store."""

    process: str
    request: int
    applied: bool
    """After the store applied it (the reply never arrives), or before it was sent."""


class Fate(Struct):
    """What happens to one message to the store and to its reply."""

    there_us: int
    back_us: int
    arrives: bool = True
    """Whether the store gets it."""
    answers: bool = True
    """Whether the reply gets back; else the caller finds the store unavailable."""
    again_us: int | None = None
    """A second copy arrives so long after the first."""


class Faults:
    """Decides about every message and every process while `active`.

    Args:
        dropped: numbers of faults that do not happen after all.
    """

    def __init__(self, seed: int, scenario: Scenario, dropped: frozenset[int]) -> None:
        self.active = True
        self.happened: list[str] = []
        """What went wrong, by number; "" where it was dropped."""
        self._scenario = scenario
        self._dropped = dropped
        self._messages = Random(f"messages {seed}")
        self._latency = Random(f"latency {seed}")

    def fate(self, call: StoreCall, who: str, *, outage: bool) -> Fate:
        """Decide about one message."""
        draw = self._latency.random
        fate = Fate(there_us=int(50 + 950 * draw() ** 3), back_us=int(50 + 950 * draw() ** 3))
        roll = self._messages.random()
        kind_roll = self._messages.random()
        if outage:
            fate.arrives = fate.answers = False
        elif self.active and self._scenario.faults and roll < self._scenario.rate:
            self._strike(fate, call, who, kind_roll)
        return fate

    def _strike(self, fate: Fate, call: StoreCall, who: str, kind_roll: float) -> None:
        kinds = ("lost_request", "lost_reply", "repeated_request", "slow_message")
        kind = kinds[int(kind_roll * 4)]
        if kind == "repeated_request" and not call.repeatable:
            return
        if kind not in self._scenario.faults or not self.allow(f"{kind} {call.operation} of {who}"):
            return
        if kind == "lost_request":
            fate.arrives = fate.answers = False
        elif kind == "lost_reply":
            fate.answers = False
        elif kind == "repeated_request":
            fate.again_us = self._messages.choice((0, 500, 50_000))
        else:
            fate.there_us += self._messages.choice((5_000, 100_000, self._scenario.lease_us))
            fate.back_us += self._messages.choice((0, 5_000, 100_000))

    def allow(self, what: str) -> bool:
        """Number a fault that is about to happen; False if it was dropped."""
        number = len(self.happened)
        dropped = number in self._dropped
        self.happened.append("" if dropped else what)
        return not dropped
