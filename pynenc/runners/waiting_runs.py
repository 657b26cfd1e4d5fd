"""The runs of a session whose bodies wait for others, by the order in which they should go on."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pynenc.model.ids import Epoch, InvocationId

if TYPE_CHECKING:
    from pynenc.runners.run_table import Run

_SLACK = 64


class WaitingRuns:
    """Runs that wait, as a whole or in some branch. Order is by rank; a rank may fall while a run waits."""

    def __init__(self) -> None:
        self._runs: dict[InvocationId, Run] = {}
        self._stacks: set[InvocationId] = set()
        self._heap: list[tuple[int, InvocationId, Epoch]] = []
        self.came = 0
        """How many began to wait so far."""
        self.left = 0
        """How many ceased to."""

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def stacks(self) -> int:
        """How many of them wait as a whole: each keeps a thread."""
        return len(self._stacks)

    def add(self, run: Run, *, whole: bool) -> None:
        """Note that `run` waits, as a whole or not."""
        if whole:
            self._stacks.add(run.invocation_id)
        if self._runs.get(run.invocation_id) is not run:
            self._runs[run.invocation_id] = run
            self.came += 1
            self._push(run)

    def discard(self, run: Run) -> None:
        """Note that `run` does not wait, or is gone."""
        if self._runs.get(run.invocation_id) is run:
            del self._runs[run.invocation_id]
            self._stacks.discard(run.invocation_id)
            self.left += 1

    def first(self, count: int) -> list[Run]:
        """Return the `count` of lowest rank, in order."""
        found: dict[InvocationId, Run] = {}
        entries = []
        while self._heap and len(found) < count:
            entry = heapq.heappop(self._heap)
            run = self._runs.get(entry[1])
            # Entries of an earlier wait or of a higher rank are left behind where they are.
            if run is not None and (run.rank, run.epoch) == (entry[0], entry[2]) and entry[1] not in found:
                found[entry[1]] = run
                entries.append(entry)
        for entry in entries:
            heapq.heappush(self._heap, entry)
        return list(found.values())

    def _put_before(self, awaited: InvocationId, waiter: Run) -> Run | None:
        run = self._runs.get(awaited)
        if run is None or run.rank < waiter.rank:
            return None
        run.rank = waiter.rank - 1
        self._push(run)
        return run

    def pass_on(self, first: Iterable[Run], waits_of: Callable[[InvocationId], Iterable[InvocationId]]) -> None:
        """Let whatever these wait for, directly or through others here, go before them."""
        todo = list(first)
        seen: set[InvocationId] = set()
        while todo:
            waiter = todo.pop()
            # A cycle that the store has yet to refuse may be among them.
            if waiter.invocation_id not in seen:
                seen.add(waiter.invocation_id)
                raised = [self._put_before(awaited, waiter) for awaited in waits_of(waiter.invocation_id)]
                todo.extend(run for run in raised if run is not None)

    def _push(self, run: Run) -> None:
        if len(self._heap) > 2 * len(self._runs) + _SLACK:
            self._heap = [(each.rank, each.invocation_id, each.epoch) for each in self._runs.values()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (run.rank, run.invocation_id, run.epoch))
