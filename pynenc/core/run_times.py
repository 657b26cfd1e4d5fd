"""How long runs of tasks usually take, learned from recorded outcomes."""

from __future__ import annotations

import time
from collections import deque
from statistics import median_low

from pynenc.clock import system_clock_us
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import ListFilter, Outcome
from pynenc.ports.backend import ClockUs
from pynenc.ports.state_backend import StateBackend

_EVERY_S = 60.0
_AGES_S = (0, 10, 600, 36_000)
_PAGE = 50
_KEPT = 31


class RunTimes:
    """Medians of the latest run times of each task.

    `refresh` reads a few pages of invocations that were submitted now, seconds, minutes and hours ago, so its cost does
    not depend on how much is queued or recorded. What it does not come across is not known.
    """

    def __init__(self, state: StateBackend, clock: ClockUs = system_clock_us) -> None:
        self._state = state
        self._clock = clock
        self._samples: dict[str, deque[int]] = {}
        self._medians: dict[str, int] = {}
        self._seen_until_us = 0
        self._due_s = 0.0

    def of(self, task_id: str) -> int | None:
        """Return how long a run of the task takes, in microseconds; of a task not seen yet what tasks take."""
        known = self._medians.get(task_id)
        return known if known is not None or not self._medians else median_low(self._medians.values())

    def refresh(self) -> Op[None]:
        """Take into account what ended since the last time; at most once a minute."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _EVERY_S
        yield from self.learn()

    def learn(self) -> Op[None]:
        """Take into account what ended since the last time."""
        seen: dict[InvocationId, tuple[str, Outcome]] = {}
        for age_s in _AGES_S:
            before = _id_at(self._clock() - age_s * 1_000_000) if age_s else None
            page = yield from self._state.listing(ListFilter(before=before, limit=_PAGE))
            for each in page:
                if each.outcome is not None:
                    seen[each.call.invocation_id] = (each.call.task_id, each.outcome)
        for task_id, outcome in sorted(seen.values(), key=lambda pair: pair[1].ended_at_us):
            self._take(task_id, outcome)

    def _take(self, task_id: str, outcome: Outcome) -> None:
        if outcome.started_at_us is None or outcome.ended_at_us <= self._seen_until_us:
            return
        self._seen_until_us = outcome.ended_at_us
        samples = self._samples.setdefault(task_id, deque(maxlen=_KEPT))
        samples.append(outcome.ended_at_us - outcome.started_at_us)
        self._medians[task_id] = median_low(samples)


def _id_at(instant_us: int) -> InvocationId:
    """Return an id before which everything was created before an instant: ids begin with milliseconds."""
    return InvocationId((max(0, instant_us) // 1_000).to_bytes(6, "big") + bytes(10))
