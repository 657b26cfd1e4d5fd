"""How many bodies of a queue a runner has at a time.

An exchange claims over all its queues by rank, so it must not ask for more than each of them may still give. A queue
that is full is left out. If some queue has less room than the runner has slots, exchanges take turns: a *wide* one over
all open queues asks for no more than the least of them may give; when it got that, a *narrow* one leaves those out and
asks for all that is wanted. Only a wide one knows that nothing is left, and registers for the doorbell. A queue that
was full needs no bell: its room comes with a completion, and that makes an exchange due anyhow.

Claims count from when they are claimed. Bodies that wait for others do not count, or a tree of tasks could not end in
a queue of a low limit; they are not held up when they go on, so for a while there may be more of them than the limit.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Ask(Struct, frozen=True):
    """What an exchange asks for."""

    queues: tuple[str, ...]
    want: int
    claims: bool = True
    """False: no queue has room."""
    wide: bool = True
    """Whether it is about all queues that have room."""


class QueueLimits:
    """What to ask for, so that no queue exceeds its limit.

    Args:
        queues: those that the runner serves; with limits it has to name them.
        limits: most bodies at a time, by queue.
        in_hand: bodies that run or are about to, by queue; changed by others.
    """

    def __init__(self, queues: tuple[str, ...], limits: Mapping[str, int], in_hand: Mapping[str, int]) -> None:
        self._queues = queues
        self._limits = limits
        self._in_hand = in_hand
        self._narrow_next = False

    def ask(self, want: int) -> Ask:
        """Return what the next exchange asks for if the runner wants so many."""
        if not self._limits:
            return Ask(self._queues, want)
        wide = self.wide(want)
        ample = tuple(queue for queue in wide.queues if self.room(queue, want) >= want)
        if self._narrow_next and wide.claims and ample and ample != wide.queues:
            return Ask(ample, want, wide=False)
        return wide

    def wide(self, want: int) -> Ask:
        """Return what to ask for over all queues that have room, so that none can exceed its limit."""
        rooms = {queue: self.room(queue, want) for queue in self._queues}
        opened = tuple(queue for queue, room in rooms.items() if room > 0 or want <= 0)
        if self._queues and not opened:
            return Ask(self._queues, want, claims=False)
        return Ask(opened, max(0, min([want, *(rooms[queue] for queue in opened)])))

    def answered(self, ask: Ask, got: int) -> None:
        """Note how many an exchange brought."""
        self._narrow_next = ask.wide and got >= ask.want

    def room(self, queue: str, want: int) -> int:
        """Return how many more of a queue the runner may have: `want` if it has no limit."""
        limit = self._limits.get(queue)
        return want if limit is None else limit - self._in_hand.get(queue, 0)
