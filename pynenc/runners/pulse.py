"""How a control loop is, as seen from other threads: what it notes of itself, and the judgement of that.

The loop writes (and whoever orders it to drain), any thread reads. Each fact is one attribute: a reader may see one
newer than another, never a torn one.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Health(Struct, frozen=True):
    """Whether a runner is well."""

    alive: bool
    """Its loop turns, and talks with the store or is about to try again. If not, only a restart helps."""
    ready: bool
    """It has a session, executors that work, a store that answers, and was not told to stop."""
    reason: str = ""
    """Why not, or what is being dealt with; '' if there is nothing to say. Never names a host, a URL or a user."""


class Pulse:
    """What a control loop notes of itself.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turned_s = self._exchanged_s = clock()
        self._trouble_since_s: float | None = None
        self._trouble = ""
        self.in_session = False
        self.draining = False

    # --- the loop's side ---

    def turned(self) -> None:
        """Note that the loop goes round."""
        self._turned_s = self._clock()

    def answered(self) -> None:
        """Note that the store answered."""
        self._exchanged_s = self._clock()
        self._trouble_since_s = None

    def refused(self, error: Exception) -> None:
        """Note that the store did not answer or refused; the loop will try again."""
        self._trouble = type(error).__name__
        if self._trouble_since_s is None:
            self._trouble_since_s = self._clock()

    # --- the others' side ---

    def health(self, *, within_s: float, workers_up: bool) -> Health:
        """Judge: a loop that has not turned or, without trouble, not exchanged for `within_s` is stuck."""
        now_s = self._clock()
        turned_s, exchanged_s, trouble_since_s = self._turned_s, self._exchanged_s, self._trouble_since_s
        if now_s - turned_s > within_s:
            return Health(False, False, f"the control loop has not turned for {now_s - turned_s:.0f} s")
        if trouble_since_s is not None:
            reason = f"no answer of the store for {now_s - trouble_since_s:.0f} s ({self._trouble}); tries again"
            return Health(True, False, reason)
        if now_s - exchanged_s > within_s:
            return Health(False, False, f"no exchange with the store for {now_s - exchanged_s:.0f} s")
        reason = self._not_ready_because(workers_up)
        return Health(True, not reason, reason)

    def _not_ready_because(self, workers_up: bool) -> str:
        if self.draining:
            return "draining"
        if not self.in_session:
            return "no session yet"
        return "" if workers_up else "no worker is up"


NOT_RUNNING = Health(False, False, "not running")
