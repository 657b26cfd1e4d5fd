"""In which order a runner goes about its queues, if not by rank over all of them.

An exchange claims over the queues it names by rank. So a runner that chooses names one after the other: a *visit* asks
for what that queue may give, a *round* visits each. When a whole round found nothing more, a wide exchange over all
queues takes what came meanwhile and registers for the doorbell: only that one knows that nothing is left. While a
runner is registered there is nothing to choose: it takes what comes. A runner of k queues makes up to k exchanges where
one by rank is enough; while there is work, each still brings a batch.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from random import Random

from pynenc.runners.queue_limits import Ask, QueueLimits


class QueueOrder(StrEnum):
    """How a runner chooses among its queues."""

    BY_RANK = "by_rank"
    """Whatever ranks first, in whichever queue it is: with the FIFO scheduler the oldest."""
    ROUND_ROBIN = "round_robin"
    """A share from each in turn."""
    ORDERED = "ordered"
    """From a queue only when those that are named before it have nothing."""
    RANDOM = "random"
    """A share from each, in an order that is drawn anew for each round."""


class QueueTurns:
    """What to ask for in an order of queues other than by rank.

    Args:
        order: not `BY_RANK`.
        queues: those that the runner serves, at least two.
        limits: how many bodies of each it may have.
        rng: draws random orders.
    """

    def __init__(self, order: QueueOrder, queues: tuple[str, ...], limits: QueueLimits, rng: Random) -> None:
        self._order = order
        self._queues = queues
        self._limits = limits
        self._rng = rng
        self._found = False
        """Whether a visit of this round brought all it asked for: there may be more."""
        self._share = 0
        """Most of a visit of this round; 0 until its first one."""
        self._left = self._new_round()

    def ask(self, want: int) -> Ask:
        """Return what the next exchange asks for if the runner wants so many."""
        while want > 0 and (self._left or self._found):
            if not self._left:
                self._left = self._new_round()
            self._share = self._share or -(-want // len(self._queues))
            room = self._limits.room(self._left[0], want)
            if room > 0:
                most = want if self._order is QueueOrder.ORDERED else min(want, self._share)
                return Ask((self._left[0],), min(room, most), wide=False)
            self._left.popleft()
        return self._limits.wide(want)

    def answered(self, ask: Ask, got: int) -> None:
        """Note how many an exchange brought."""
        if ask.wide:
            self._left = self._new_round() if ask.want > 0 else self._left
            return
        full = got >= ask.want
        self._found = self._found or full
        if full and self._order is QueueOrder.ORDERED:
            self._left = self._new_round()
        else:
            self._left.popleft()

    def _new_round(self) -> deque[str]:
        self._found, self._share = False, 0
        queues = list(self._queues)
        if self._order is QueueOrder.RANDOM:
            self._rng.shuffle(queues)
        return deque(queues)
