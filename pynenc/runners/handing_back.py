"""Claims that do not start here go back to the store: at once if another runner is free, else after a while.

A runner claims ahead while bodies are short. When one turns out to be long, what stands behind it and finds no other
slot here is *stuck*. The store knows how many slots each session has and how many are in use, so a runner with stuck
claims looks there for one that is free: first soon, then ever more seldom. Nobody looks while bodies end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pynenc.io import Op
from pynenc.ports.executor import Executor
from pynenc.runners.store_session import StoreSession

logger = logging.getLogger(__name__)


class HandBack:
    """Gives back what was claimed ahead.

    Args:
        executor: has the claims.
        session: knows the other runners.
        ended: says how many bodies have ended so far.
        clock: monotonic seconds.
        stuck_s: a claim that has waited so long is stuck: another runner with a free slot gets it.
        most_s: a claim that has waited so long goes back, whether anybody is free or not.
    """

    def __init__(
        self,
        executor: Executor,
        session: StoreSession,
        ended: Callable[[], int],
        clock: Callable[[], float],
        *,
        stuck_s: float,
        most_s: float,
    ) -> None:
        self._executor = executor
        self._session = session
        self._ended = ended
        self._clock = clock
        self._stuck_s = stuck_s
        self._most_s = most_s
        self._recall_at_s = clock()
        self._look_at_s: float | None = None
        self._pause_s = stuck_s
        self._seen = 0
        """How many had ended when it was last looked at."""

    def due_at_s(self) -> float | None:
        """Return when to come back even if nothing happens; None while every claim has a slot."""
        if self._executor.spare() >= 0:
            return None
        return self._recall_at_s if self._look_at_s is None else min(self._recall_at_s, self._look_at_s)

    def hand_back(self) -> Op[None]:
        """Give back what has waited too long."""
        now_s = self._clock()
        waits = self._executor.spare() < 0
        if now_s >= self._recall_at_s:
            self._recall_at_s = now_s + self._most_s
            if waits:
                self._executor.recall(older_than_s=self._most_s)
        if not waits or self._look_at_s is None or self._ended() != self._seen:
            self._seen, self._pause_s = self._ended(), self._stuck_s
            self._look_at_s = now_s + self._stuck_s if waits else None
        elif now_s >= self._look_at_s:
            self._pause_s = min(2 * self._pause_s, self._most_s)
            self._look_at_s = now_s + self._pause_s
            yield from self._offer()

    def _offer(self) -> Op[None]:
        """Give back what is stuck if another runner is free; a store that does not answer leaves that open."""
        if self._session.in_trouble:
            return
        try:
            if (yield from self._session.another_is_free()):
                self._executor.recall(older_than_s=self._stuck_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the claims go back later
            logger.debug("nobody knows whether another runner is free: %s", error)
