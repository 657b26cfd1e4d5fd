"""How a runner goes on when as many of its bodies wait as may.

A waiting body costs memory: a thread and its stack, or a coroutine. Below the bound a runner claims whatever comes
next. At the bound a body that waits still gives its slot away, as always, but the slots serve nothing except what
brings the bodies that wait to their end:

* by rank: the queues are asked only for work that ranks before the k-th of the waiting bodies, k being the number of
  slots. A child ranks before its parent, so this is what the first k wait for, at any depth, on any runner;
* by id: what the first k wait for and the rule by rank does not reach (it was submitted by somebody else, or later)
  is claimed by its id and from then on ranks before its waiter. So does whatever they wait for that waits here
  itself.

States: free <-> bound. Entering it, claims that have not begun go back uncounted, and the session does not sleep
beside its queues (it would be rung for work it may not take): it looks again when a body begins or ceases to wait,
when a slot comes free, when a timer of the store is due, and every `_LONGEST_PAUSE_S` at the latest. Leaving it, it
claims as before.

*How many wait at most.* The bound, one more for each slot (they ran when it was reached), what was claimed ahead then
and began before it could be taken back, and k for each level of waiting: whatever is claimed at the bound ranks
before one of the first k, so if it waits in turn, it becomes one of them and moves another one out. A chain of waits
is never cut: nothing but its last link can make the others go, so it is kept in memory as a whole, however deep it
is.

*Why it never stands still for ever.* A body that waits holds no slot. Take, of all bodies that wait anywhere, the
first by rank. What it waits for does not wait if it is a child of it, since that would rank before. So it runs, or it
is not yet due, or it is READY: then every runner that serves its queue may claim it by rank. Of work that is no
child, the runner of the waiter claims it by id, or ranks it first if it waits there too. What is left are circles
through the bounds of several runners of work that is no child, or by an order in which children do not go first. For
these, a runner on which everything has stood still for a while (`_FIRST_PATIENCE_S`) claims one piece of work that
anybody may wait for, whatever its rank. It waits twice as long before the next one, until one of its bodies goes on
or ends: an hour in which nothing is due adds a dozen bodies, no more.

Crash points: claims by id are claims like any other. They are in the `RunTable` before anything else happens; a lost
reply leaves them to `differences`. Nothing here is needed by anybody after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from msgspec import Struct

from pynenc.model.ids import InvocationId
from pynenc.model.records import Claim
from pynenc.runners.run_table import Run, RunTable

_MOST_IDS = 256
"""Ids in one look."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_FIRST_PATIENCE_S, _LONGEST_PATIENCE_S = 0.05, 300.0


class ParkLimits(Struct, frozen=True):
    """How many bodies of a runner may wait before it is at its bound."""

    bodies: int
    stacks: int
    """Those of them that wait as a whole, each with a thread of its own."""


class Only(Struct, frozen=True):
    """What work may be claimed at the bound; see `Exchange`."""

    before: int | None
    awaited: bool


class WaitBound:
    """Says what may be claimed, given what waits.

    Args:
        table: the runs of the session.
        limits: the bound.
        slots: of the executor.
        waits_of: returns what a run waits for.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        table: RunTable,
        limits: ParkLimits,
        *,
        slots: int,
        waits_of: Callable[[InvocationId], Iterable[InvocationId]],
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._waiting = table.waiting
        self._limits = limits
        self.slots = slots
        """How many bodies run at a time; may change."""
        self._waits_of = waits_of
        self._clock = clock
        self._was_reached = False
        self._seen = (0, 0, 0)
        self._pause_s = _FIRST_PAUSE_S
        self._look_at_s = 0.0
        self._place = 0
        self._waiters: dict[InvocationId, Run] = {}
        self._stands_still = False
        """Whether to ask for one piece of whatever work anybody may wait for."""
        self._patience_s = _FIRST_PATIENCE_S
        self._stands_since_s: float | None = None
        self._gone = (0, 0)

    # --- the bound ---

    @property
    def reached(self) -> bool:
        """Whether as many bodies wait as may."""
        return len(self._waiting) >= self._limits.bodies or self._waiting.stacks >= self._limits.stacks

    def crossed(self) -> bool:
        """Whether the answer of `reached` is another one than at the last call."""
        was, self._was_reached = self._was_reached, self.reached
        if self._was_reached and not was:
            self._pause_s = _FIRST_PAUSE_S
            self._seen = (0, 0, 0)
        return was is not self._was_reached

    # --- what to ask for ---

    def want(self, want: int, spare: int) -> int:
        """Return how many to ask for where `want` would be right if nothing could wait."""
        if self.reached:
            return min(1, max(0, spare)) if self._stands_still else max(0, spare)
        if not self._waiting:
            return want
        room = self._limits.bodies + self.slots - len(self._table)
        return max(0, min(want, max(spare, room)))

    def only(self) -> Only | None:
        """Return to what claims by queue are limited; None if any work will do."""
        if not self.reached:
            return None
        if self._stands_still:
            return Only(before=None, awaited=True)
        return Only(before=self._first()[-1].rank, awaited=False)

    def ids(self) -> list[InvocationId]:
        """Return what to claim by id, a part of it at a time."""
        first = self._first()
        self._waiting.pass_on(first, self._waits_of)
        first = self._first()
        wanted = ((awaited, run) for run in first for awaited in self._waits_of(run.invocation_id))
        missing = ((awaited, run) for awaited, run in wanted if self._table.get(awaited) is None)
        part = list(islice(missing, self._place, self._place + _MOST_IDS))
        self._place = self._place + _MOST_IDS if len(part) == _MOST_IDS else 0
        self._waiters = dict(part)
        return list(self._waiters)

    def claimed(self, claims: Iterable[Claim]) -> None:
        """Note what was claimed by id and is in the table: it ranks before who waits for it."""
        for claim in claims:
            run = self._table.get(claim.invocation_id, claim.epoch)
            if run is not None:
                run.rank = min(run.rank, self._waiters[run.invocation_id].rank - 1)

    def _first(self) -> list[Run]:
        return self._waiting.first(max(1, self.slots))

    # --- when to look ---

    def look_due(self, spare: int) -> bool:
        """Whether there may be something to claim by now."""
        return spare > 0 and (self._situation(spare) != self._seen or self._clock() >= self._look_at_s)

    def due_at_s(self, spare: int) -> float | None:
        """Return when to look if nothing happens until then; None: not at the bound, or without a free slot."""
        return self._look_at_s if spare > 0 and self.reached else None

    def looked(self, spare: int, *, found: bool) -> None:
        """Note that everything allowed was asked for and `spare` slots are free still."""
        now_s = self._clock()
        changed = self._situation(spare) != self._seen
        self._seen = self._situation(spare)
        if found or changed:
            self._pause_s = _FIRST_PAUSE_S
        # The rest of the ids is asked for without a pause.
        self._look_at_s = now_s + (self._pause_s if self._place == 0 else 0.0)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
        self._mind_standstill(now_s)

    def _situation(self, spare: int) -> tuple[int, int, int]:
        return self._waiting.came, self._waiting.left, spare

    def _mind_standstill(self, now_s: float) -> None:
        gone = self._waiting.left, self._table.ended
        if gone != self._gone:
            self._gone = gone
            self._patience_s = _FIRST_PATIENCE_S
            self._stands_since_s = None
        if self._stands_still:
            self._stands_still = False
            self._patience_s = min(_LONGEST_PATIENCE_S, self._patience_s * 2)
            self._stands_since_s = now_s
        elif len(self._table) > len(self._waiting):
            self._stands_since_s = None
        elif self._stands_since_s is None:
            self._stands_since_s = now_s
        elif now_s - self._stands_since_s >= self._patience_s:
            self._stands_still = True
            self._look_at_s = now_s
