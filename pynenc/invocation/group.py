"""Groups of invocations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from pynenc.core.group_progress import GroupProgress, count_progress
from pynenc.core.outcomes import result_of, value_of
from pynenc.core.waiting import await_each, wait_each
from pynenc.invocation.base import BaseInvocation, BaseInvocationGroup, P, R, Timeout, seconds
from pynenc.invocation.distributed import DistributedInvocation
from pynenc.io import arun, run
from pynenc.model.ids import InvocationId, parse_id
from pynenc.model.records import CancelVerdict
from pynenc.model.status import InvocationStatus
from pynenc.task import Task


class DistributedInvocationGroup(BaseInvocationGroup[P, R]):
    """Invocations in the store of their app."""

    def __init__(self, task: Task[P, R], invocations: Sequence[BaseInvocation[P, R]]) -> None:
        super().__init__(task, invocations)
        self._keys = [
            each.key if isinstance(each, DistributedInvocation) else parse_id(each.invocation_id)
            for each in invocations
        ]

    @property
    def results(self) -> Iterator[R]:
        times, tasks = self._times(), self._tasks()
        for outcome in wait_each(self.app, self._keys, None):
            for _ in range(times[outcome.invocation_id]):
                yield result_of(tasks[outcome.invocation_id], outcome)

    async def async_results(self) -> AsyncIterator[R]:
        times, tasks = self._times(), self._tasks()
        async for outcome in await_each(self.app, self._keys, None):
            for _ in range(times[outcome.invocation_id]):
                yield await arun(value_of(tasks[outcome.invocation_id], outcome))

    def wait(self, timeout: Timeout = None) -> bool:
        ended = sum(1 for _ in wait_each(self.app, self._keys, seconds(timeout)))
        return ended == len(set(self._keys))

    def progress(self) -> GroupProgress:
        statuses = run(self.app.backend.state_backend.statuses(self._keys))
        # A purged invocation had ended.
        return count_progress(status or InvocationStatus.SUCCESS for status in statuses)

    def cancel(self, *, tree: bool = False, reason: str = "") -> int:
        replies = run(self.app.control.cancel(self._keys, tree=tree, detail=reason or "cancelled with its group"))
        own = set(self._keys)
        stopped = (CancelVerdict.CANCELLED, CancelVerdict.REQUESTED)
        return sum(reply.verdict in stopped for reply in replies if reply.invocation_id in own)

    def _tasks(self) -> dict[InvocationId, Task[..., Any]]:
        """Return the task of each id: a group of `submit_many` has several."""
        return dict(zip(self._keys, (invocation.task for invocation in self.invocations), strict=True))

    def _times(self) -> dict[InvocationId, int]:
        """Count members per id: calls that collapsed into one invocation each get its result."""
        times: dict[InvocationId, int] = {}
        for key in self._keys:
            times[key] = times.get(key, 0) + 1
        return times


class ConcurrentInvocationGroup(BaseInvocationGroup[P, R]):
    """Invocations that ran in this process when they were called (development mode)."""

    @property
    def results(self) -> Iterator[R]:
        for invocation in self.invocations:
            yield invocation.result

    async def async_results(self) -> AsyncIterator[R]:
        for invocation in self.invocations:
            yield await invocation.async_result()

    def wait(self, timeout: Timeout = None) -> bool:
        return True

    def progress(self) -> GroupProgress:
        return count_progress(invocation.status for invocation in self.invocations)

    def cancel(self, *, tree: bool = False, reason: str = "") -> int:
        return 0
