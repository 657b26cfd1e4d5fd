"""History without history rows: derived from the times a record carries, and from its abnormal attempts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pynenc.invocation.history import HistoryEntry
from pynenc.io import Op
from pynenc.model.ids import SessionId
from pynenc.model.records import Attempt, Control, Outcome, Snapshot
from pynenc.model.status import InvocationStatus, Reason, State, live_status, ready_status
from pynenc.ports.backend import Backend


def derive_history(backend: Backend, snapshot: Snapshot) -> Op[list[HistoryEntry]]:
    """Return every status an invocation went through, oldest first."""
    rows = yield from backend.orchestrator.list_sessions(live_only=False)
    names = {row.session: row.info.name for row in rows}
    return list(_entries(snapshot, names))


def public_status(control: Control) -> InvocationStatus:
    """Return the status users see for a live invocation."""
    parked = control.gate is not None and control.owner is None
    return live_status(control.state, control.reason, started=control.started_at_us is not None, parked=parked)


def _entries(snapshot: Snapshot, names: dict[SessionId, str]) -> Iterator[HistoryEntry]:
    yield _entry(InvocationStatus.REGISTERED, snapshot.call.created_at_us, attempt=0)
    announced: int | None = None
    for row in snapshot.attempts:
        if row.epoch != announced and row.reason is not Reason.REQUEUED:
            yield from _begin(row, names)
            announced = row.epoch
        yield from _attempt_end(row, names)
    record = snapshot.outcome or snapshot.control
    if record is None:
        return
    owner = snapshot.outcome.session if snapshot.outcome else snapshot.control.owner if snapshot.control else None
    yield from _last(snapshot, record, owner, announced, names)


def _begin(row: Attempt, names: dict[SessionId, str]) -> Iterator[HistoryEntry]:
    runner = names.get(row.session)
    yield _entry(InvocationStatus.PENDING, row.claimed_at_us, attempt=row.number, runner=runner)
    if row.started_at_us is not None:
        yield _entry(InvocationStatus.RUNNING, row.started_at_us, attempt=row.number, runner=runner, worker=row.worker)


def _attempt_end(row: Attempt, names: dict[SessionId, str]) -> Iterator[HistoryEntry]:
    runner = names.get(row.session)
    if row.reason is Reason.WAITED:
        begin = row.suspended_at_us or row.ended_at_us
        yield _entry(InvocationStatus.PAUSED, begin, attempt=row.number, runner=runner, worker=row.worker)
        yield _entry(InvocationStatus.RUNNING, row.ended_at_us, attempt=row.number, runner=runner, worker=row.worker)
    elif row.reason is Reason.REQUEUED:
        yield _entry(InvocationStatus(row.detail), row.ended_at_us, attempt=row.number, runner=runner)
        yield _entry(InvocationStatus.REGISTERED, row.ended_at_us, attempt=0, detail="requeued")
    else:
        yield _entry(
            ready_status(row.reason),
            row.ended_at_us,
            attempt=row.number,
            runner=runner,
            worker=row.worker,
            detail=row.detail,
        )


def _last(
    snapshot: Snapshot,
    record: Outcome | Control,
    owner: SessionId | None,
    announced: int | None,
    names: dict[SessionId, str],
) -> Iterator[HistoryEntry]:
    """Yield the attempt in course, or the one that ended, and the end."""
    runner = names.get(owner) if owner else None
    live = snapshot.control
    begun = record.claimed_at_us is not None and (
        live is None or live.state in (State.OWNED, State.SUSPENDED) or live.owner is not None
    )
    if begun and record.epoch != announced and record.claimed_at_us is not None:
        yield _entry(InvocationStatus.PENDING, record.claimed_at_us, attempt=record.attempt, runner=runner)
        if record.started_at_us is not None:
            yield _entry(
                InvocationStatus.RUNNING,
                record.started_at_us,
                attempt=record.attempt,
                runner=runner,
                worker=record.worker,
            )
    if live is not None and live.suspended_at_us is not None and live.state in (State.SUSPENDED, State.READY):
        yield _entry(InvocationStatus.PAUSED, live.suspended_at_us, attempt=live.attempt, runner=runner)
    if live is not None and live.gate is not None and live.owner is None:
        yield _parked(snapshot, live, live.gate)
    if snapshot.outcome is not None:
        end = snapshot.outcome
        yield _entry(
            end.status,
            end.ended_at_us,
            attempt=end.attempt,
            runner=runner,
            worker=end.worker,
            detail=end.reason,
        )


def _parked(snapshot: Snapshot, live: Control, gate: str) -> HistoryEntry:
    """Return the entry of one that a closed gate stops, under the time at which it could have begun."""
    since = max([live.registered_at_us, live.not_before_us or 0, *(row.ended_at_us for row in snapshot.attempts)])
    return _entry(InvocationStatus.CONCURRENCY_CONTROLLED, since, attempt=live.attempt, detail=f"{gate} is closed")


def _entry(
    status: InvocationStatus,
    at_us: int,
    *,
    attempt: int,
    runner: str | None = None,
    worker: int = 0,
    detail: str = "",
) -> HistoryEntry:
    return HistoryEntry(
        status=status,
        timestamp=datetime.fromtimestamp(at_us / 1_000_000, UTC),
        attempt=attempt,
        runner=runner,
        worker=worker,
        detail=detail,
    )
