"""Reads of what the scripts keep."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.codec import outcome_in, pack, snapshot_of, status_of
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import DeadFilter, DeadMark, DeadPage, ListFilter, Outcome, Snapshot, dead_mark
from pynenc.model.status import InvocationStatus
from pynenc.ports.state_backend import StateBackend

_CHUNK = 500
"""Most invocations that one script looks at, so that others get their turn."""


class RedisStateBackend(StateBackend):
    """Reads under the prefix of one app."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def snapshots(self, ids: Sequence[InvocationId]) -> Op[list[Snapshot | None]]:
        found: list[Snapshot | None] = []
        for first in range(0, len(ids), _CHUNK):
            some = ids[first : first + _CHUNK]
            rows = yield from self._caller.read("snapshots", pack(some))
            found.extend(snapshot_of(each, row) for each, row in zip(some, rows, strict=True))
        return found

    def outcomes(self, ids: Sequence[InvocationId]) -> Op[list[Outcome | None]]:
        if not ids:
            return []
        values = yield from self._caller.get_many([b"o" + each for each in ids])
        return [outcome_in(each, value) if value is not None else None for each, value in zip(ids, values, strict=True)]

    def statuses(self, ids: Sequence[InvocationId]) -> Op[list[InvocationStatus | None]]:
        rows = yield from self._caller.read("statuses", pack(ids))
        return [status_of(row) for row in rows]

    def listing(self, wanted: ListFilter) -> Op[list[Snapshot]]:
        found: list[InvocationId] = []
        before, more = wanted.before or b"", True
        while more and len(found) < wanted.limit:
            rows = yield from self._scan(before, wanted.parent_id)
            found.extend(InvocationId(row[0]) for row in rows if _matches(row, wanted))
            before, more = rows[-1][0] if rows else b"", len(rows) == _CHUNK
        snapshots = yield from self.snapshots(found[: wanted.limit])
        return [each for each in snapshots if each is not None]

    def dead(self, wanted: DeadFilter) -> Op[DeadPage]:
        upper, since_us = wanted.bounds()
        request = (
            (wanted.queue or "").encode(),
            b"%020d" % upper.ended_at_us + upper.invocation_id,
            b"%020d" % since_us,
            wanted.budget,
        )
        rows = yield from self._caller.read("dead", pack(request))
        marks = [DeadMark(int(entry[:20]), InvocationId(entry[20:])) for entry, _, _ in rows]
        ids = [
            mark.invocation_id
            for mark, (_, task, status) in zip(marks, rows, strict=True)
            if status and wanted.takes(InvocationStatus(status.decode()), task.decode())
        ]
        found = yield from self.snapshots(ids)
        return DeadPage(found=tuple(each for each in found if each is not None), before=dead_mark(marks, wanted.budget))

    def children(self, parent: InvocationId) -> Op[list[InvocationId]]:
        ids = yield from self._caller.call("children", parent)
        return sorted(ids)

    def count(self, *, task_id: str | None = None, statuses: Sequence[InvocationStatus] = ()) -> Op[int]:
        if task_id is None and not statuses:
            total: int = yield from self._caller.call("total")
            return total
        wanted = ListFilter(task_id=task_id, statuses=tuple(statuses))
        number, before, more = 0, b"", True
        while more:
            rows = yield from self._scan(before, None)
            number += sum(_matches(row, wanted) for row in rows)
            before, more = rows[-1][0] if rows else b"", len(rows) == _CHUNK
        return number

    def unnamed_before(self) -> Op[int]:
        return int((yield from self._caller.call("unnamed_before")))

    def purge(self, ids: Sequence[InvocationId] | None = None) -> Op[int]:
        went = 0
        if ids is None:
            more = True
            while more:
                some, more = yield from self._caller.call("purge_all", _CHUNK)
                went += some
            return went
        for first in range(0, len(ids), _CHUNK):
            went += yield from self._caller.call("purge", pack(ids[first : first + _CHUNK]))
        return went

    def _scan(self, before: bytes, parent: InvocationId | None) -> Generator[Any, Any, list[Any]]:
        rows: list[Any] = yield from self._caller.read("scan", pack((before, parent or b"", _CHUNK)))
        return rows


def _matches(row: list[Any], wanted: ListFilter) -> bool:
    _, task, queue, standing = row
    status = status_of(standing)
    return (
        status is not None
        and wanted.task_id in (None, task.decode())
        and wanted.queue in (None, queue.decode())
        and (not wanted.statuses or status in wanted.statuses)
    )
