"""Reads of what the functions keep."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.postgresql.database import Database
from pynenc.backends.postgresql.rows import outcome_of, snapshot_of, status_of
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import DeadFilter, DeadMark, DeadPage, ListFilter, Outcome, Snapshot, dead_mark
from pynenc.model.status import InvocationStatus
from pynenc.ports.state_backend import StateBackend

_CHUNK = 500
"""Most invocations of one statement."""


class PostgresqlStateBackend(StateBackend):
    """Reads in the schema of one app."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def snapshots(self, ids: Sequence[InvocationId]) -> Op[list[Snapshot | None]]:
        found: dict[InvocationId, Snapshot] = {}
        for first in range(0, len(ids), _CHUNK):
            rows = yield from self._database.call("snapshots(bytea[])", list(ids[first : first + _CHUNK]))
            found.update((row[0], snapshot_of(row)) for row in rows)
        return [found.get(each) for each in ids]

    def outcomes(self, ids: Sequence[InvocationId]) -> Op[list[Outcome | None]]:
        rows = yield from self._database.call("outcomes(bytea[])", list(ids))
        found = {row[2]: outcome_of(row) for row in rows}
        return [found.get(each) for each in ids]

    def statuses(self, ids: Sequence[InvocationId]) -> Op[list[InvocationStatus | None]]:
        rows = yield from self._database.call("standings(bytea[])", list(ids))
        found = {row[0]: status_of(*row[1:]) for row in rows}
        return [found.get(each) for each in ids]

    def listing(self, wanted: ListFilter) -> Op[list[Snapshot]]:
        found: list[InvocationId] = []
        before, more = wanted.before, True
        # Without a status to match, every row counts: no more are read than asked for.
        budget = _CHUNK if wanted.statuses else max(1, min(_CHUNK, wanted.limit))
        while more and len(found) < wanted.limit:
            rows = yield from self._database.call(
                "scan(bytea, text, text, bytea, integer)",
                *(before, wanted.task_id, wanted.queue, wanted.parent_id, budget),
            )
            found += [row[0] for row in rows if not wanted.statuses or status_of(*row[1:]) in wanted.statuses]
            before, more = rows[-1][0] if rows else None, len(rows) == budget
        snapshots = yield from self.snapshots(found[: wanted.limit])
        return [each for each in snapshots if each is not None]

    def dead(self, wanted: DeadFilter) -> Op[DeadPage]:
        upper, since_us = wanted.bounds()
        rows = yield from self._database.call(
            "dead(text, bigint, bytea, bigint, integer)",
            *(wanted.queue, upper.ended_at_us, upper.invocation_id, since_us, wanted.budget),
        )
        wanted_ids = [row[0] for row in rows if wanted.takes(InvocationStatus(row[2]), row[3])]
        found = yield from self.snapshots(wanted_ids)
        marks = [DeadMark(row[1], row[0]) for row in rows]
        return DeadPage(found=tuple(each for each in found if each is not None), before=dead_mark(marks, wanted.budget))

    def children(self, parent: InvocationId) -> Op[list[InvocationId]]:
        rows = yield from self._database.call("children(bytea)", parent)
        return [row[0] for row in rows]

    def count(self, *, task_id: str | None = None, statuses: Sequence[InvocationStatus] = ()) -> Op[int]:
        rows = yield from self._database.call("tally(text)", task_id)
        return sum(row[5] for row in rows if not statuses or status_of(*row[:5]) in statuses)

    def unnamed_before(self) -> Op[int]:
        rows = yield from self._database.call("unnamed_before()")
        limit: int = rows[0][0]
        return limit

    def purge(self, ids: Sequence[InvocationId] | None = None) -> Op[int]:
        went: int = 0
        if ids is None:
            more = True
            while more:
                ((some, more),) = yield from self._database.call("purge_all(integer)", _CHUNK)
                went += some
            return went
        given = list(dict.fromkeys(ids))
        for first in range(0, len(given), _CHUNK):
            rows = yield from self._database.call("purge(bytea[])", given[first : first + _CHUNK])
            went += rows[0][0]
        return went
