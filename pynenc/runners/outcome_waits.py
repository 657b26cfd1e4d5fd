"""Waits of one run that do not stop the whole of it: of its coroutines, or of threads it started itself.

The run stays OWNED in the store, because others of its branches may go on; its slot is lent while anything is
awaited, whatever else it does, so that what it waits for can run on a single slot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from pynenc.errors import RunnerStopped
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Outcome
from pynenc.ports.executor import Observation
from pynenc.ports.run_link import WaitReply


class SlotLender(Protocol):
    """Who keeps account of the slots."""

    def watch(self, invocation_id: InvocationId, epoch: Epoch, waits: tuple[InvocationId, ...]) -> None:
        """Have the outcomes of `waits` observed: exactly these from now on."""

    def lend(self) -> None:
        """Take the slot of a run that awaits something."""

    def reclaim(self, go: Callable[[], bool]) -> None:
        """Call `go` when a slot is free for the run; it returns whether the run takes it, and does not block."""


class Wish:
    """One wait: what is missing, what came."""

    __slots__ = ("cycle", "deliver", "missing", "need", "outcomes", "unknown")

    def __init__(self, waits: Sequence[InvocationId], need: int, deliver: Callable[[], None]) -> None:
        self.missing = set(waits)
        self.need = min(need, len(self.missing)) or len(self.missing)
        self.outcomes: list[Outcome] = []
        self.unknown: tuple[InvocationId, ...] = ()
        self.cycle: tuple[InvocationId, ...] = ()
        self.deliver = deliver

    @property
    def granted(self) -> bool:
        return bool(self.unknown or self.cycle) or len(self.outcomes) >= self.need

    def take(self, observation: Observation) -> bool:
        """Take what is of interest here; return whether that was enough."""
        self.outcomes += [outcome for outcome in observation.outcomes if outcome.invocation_id in self.missing]
        self.unknown += tuple(missing for missing in observation.unknown if missing in self.missing)
        # The second of a cycle is what the run would wait for; another branch may wait for something else.
        if observation.cycle and observation.cycle[1] in self.missing:
            self.cycle = observation.cycle
        return self.granted

    def still_missing(self) -> set[InvocationId]:
        """Return the ids whose outcomes did not come yet."""
        return self.missing - {outcome.invocation_id for outcome in self.outcomes}

    def reply(self, *, timed_out: bool = False) -> WaitReply:
        """Return what the waiting branch hears."""
        if self.unknown:
            return WaitReply(unknown=self.unknown)
        if self.cycle:
            return WaitReply(cycle=self.cycle)
        return WaitReply(outcomes=tuple(self.outcomes), timed_out=timed_out and not self.granted)


class OutcomeWaits:
    """All such waits of one run. Safe for threads.

    The lender's methods are called without the lock, because the lender calls `_offered` under its own.
    """

    def __init__(self, invocation_id: InvocationId, epoch: Epoch, lender: SlotLender) -> None:
        self._key = (invocation_id, epoch)
        self._lender = lender
        self._lock = threading.Lock()
        self._wishes: list[Wish] = []
        self._held = True
        self._reclaiming = False
        self._closed = False
        self._granted: list[Wish] = []

    def begin(self, waits: Sequence[InvocationId], need: int, deliver: Callable[[], None]) -> Wish:
        """Wait for `need` of `waits` (0: all); `deliver` is called once from any thread when they are there.

        Raises:
            RunnerStopped: the run is over; a branch outlived its body.
        """
        wish = Wish(waits, need, deliver)
        with self._lock:
            if self._closed:
                raise RunnerStopped("the run that this waits for is over")
            self._wishes.append(wish)
            self._tell()
            lend, self._held = self._held, False
        if lend:
            self._lender.lend()
        return wish

    def end(self, wish: Wish) -> None:
        """Note that nobody waits for `wish` any more, granted or not."""
        with self._lock:
            if wish not in self._wishes:
                return
            self._wishes.remove(wish)
            reclaim = self._last_gone()
        if reclaim:
            self._lender.reclaim(self._offered)

    def observe(self, observation: Observation) -> None:
        """Take in what the control loop saw."""
        with self._lock:
            granted = [wish for wish in self._wishes if wish.take(observation)]
            self._wishes = [wish for wish in self._wishes if wish not in granted]
            reclaim = bool(granted) and self._last_gone()
            wait_for_slot = bool(granted) and not self._wishes
            if wait_for_slot:
                self._granted += granted
        if reclaim:
            self._lender.reclaim(self._offered)
        if not wait_for_slot:
            for wish in granted:
                wish.deliver()

    def close(self) -> bool:
        """Forget all waits because the run is over; return whether it holds its slot."""
        with self._lock:
            self._closed = True
            self._wishes.clear()
            self._granted.clear()
            return self._held

    def _last_gone(self) -> bool:
        """Whether the slot is to be asked for, now that a wish is gone. Needs the lock."""
        if self._wishes:
            return False
        self._tell()
        asked, self._reclaiming = self._reclaiming, True
        return not asked and not self._held

    def _offered(self) -> bool:
        with self._lock:
            self._reclaiming = False
            granted, self._granted = self._granted, []
            self._held = not self._wishes and not self._closed
            held = self._held
        for wish in granted:
            wish.deliver()
        return held

    def _tell(self) -> None:
        waits = dict.fromkeys(invocation_id for wish in self._wishes for invocation_id in wish.still_missing())
        self._lender.watch(*self._key, tuple(waits))
