"""Reads: what is known of invocations, sessions and queues."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from pynenc.backends.memory.gate_facts import gate_facts
from pynenc.backends.memory.sessions import row_of
from pynenc.backends.memory.state import MemoryState, Record, serves
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    Awaited,
    Control,
    DeadFilter,
    DeadMark,
    DeadPage,
    ListFilter,
    QueueStats,
    SessionKind,
    SessionRow,
    Snapshot,
    Standing,
    dead_mark,
    unnamed_before_us,
)
from pynenc.model.status import InvocationStatus, State, live_status

MOST_AHEAD = 10_000
MOST_NAMED = 20


def snapshot(state: MemoryState, invocation_id: InvocationId) -> Snapshot | None:
    """Return all that is known of one invocation."""
    call = state.calls.get(invocation_id)
    if call is None:
        return None
    record = state.records.get(invocation_id)
    return Snapshot(
        call=call,
        control=control_of(record) if record else None,
        outcome=state.outcomes.get(invocation_id),
        attempts=tuple(state.attempts.get(invocation_id, ())),
        progress=state.progress.get(invocation_id, b""),
    )


def control_of(record: Record) -> Control:
    """Return the public shape of a control record."""
    return Control(
        state=record.state,
        reason=record.reason,
        rank=record.rank,
        epoch=record.epoch,
        attempt=record.attempt,
        crashes=record.crashes,
        owner=record.owner,
        worker=record.worker,
        need_left=record.need_left,
        not_before_us=record.not_before_us,
        expires_at_us=record.expires_at_us,
        wait_until_us=record.wait_until_us,
        cancel_requested=record.cancel_requested,
        registered_at_us=record.registered_at_us,
        claimed_at_us=record.claimed_at_us,
        started_at_us=record.started_at_us,
        suspended_at_us=record.suspended_at_us,
        gate=record.gate,
    )


def status(state: MemoryState, invocation_id: InvocationId) -> InvocationStatus | None:
    """Return the public status, None if the id is unknown."""
    outcome = state.outcomes.get(invocation_id)
    if outcome is not None:
        return outcome.status
    record = state.records.get(invocation_id)
    if record is None:
        return None
    parked = record.lane is not None and record.lane.parked is not None
    return live_status(record.state, record.reason, started=record.started_at_us is not None, parked=parked)


def listing(state: MemoryState, wanted: ListFilter) -> list[Snapshot]:
    """Return matching invocations, newest id first."""
    found: list[Snapshot] = []
    for invocation_id in sorted(state.calls, reverse=True):
        if len(found) >= wanted.limit:
            break
        if _matches(state, invocation_id, wanted):
            each = snapshot(state, invocation_id)
            assert each is not None
            found.append(each)
    return found


def _matches(state: MemoryState, invocation_id: InvocationId, wanted: ListFilter) -> bool:
    call = state.calls[invocation_id]
    return (
        (wanted.before is None or invocation_id < wanted.before)
        and wanted.task_id in (None, call.task_id)
        and wanted.queue in (None, call.queue)
        and wanted.parent_id in (None, call.parent_id)
        and (not wanted.statuses or status(state, invocation_id) in wanted.statuses)
    )


def dead(state: MemoryState, wanted: DeadFilter) -> DeadPage:
    """Return a page of what ended dead, newest ending first."""
    upper, since_us = wanted.bounds()
    marks = state.dead.get(wanted.queue, [])
    end = bisect_left(marks, upper)
    begin = max(bisect_left(marks, DeadMark(since_us, InvocationId(b""))), end - wanted.budget)
    looked_at = marks[begin:end][::-1]
    found = [each for each in (snapshot(state, mark.invocation_id) for mark in looked_at) if each and each.outcome]
    return DeadPage(
        found=tuple(each for each in found if each.outcome and wanted.takes(each.outcome.status, each.call.task_id)),
        before=dead_mark(looked_at, wanted.budget),
    )


def count(state: MemoryState, task_id: str | None, statuses: Sequence[InvocationStatus]) -> int:
    """Count invocations by task and status."""
    wanted = ListFilter(task_id=task_id, statuses=tuple(statuses))
    return sum(_matches(state, invocation_id, wanted) for invocation_id in state.calls)


def list_sessions(state: MemoryState, live_only: bool) -> list[SessionRow]:
    """Return the sessions by number."""
    return [
        row_of(state, session)
        for number, session in sorted(state.sessions.items())
        if session.ended_at_us is None or not live_only
    ]


def queue_stats(state: MemoryState) -> list[QueueStats]:
    """Return one row per queue, by name."""
    return [_stats_of(state, queue) for queue in sorted(state.queues | state.paused.keys())]


def _stats_of(state: MemoryState, queue: str) -> QueueStats:
    records = [record for record in state.records.values() if record.call.queue == queue]
    free = [record for record in records if record.state is State.READY and record.owner is None]
    ready = [record for record in free if record.gate is None]
    suspended = [
        record
        for record in records
        if record.state is State.SUSPENDED or (record.state is State.READY and record.owner is not None)
    ]
    return QueueStats(
        queue=queue,
        ready=len(ready),
        delayed=sum(record.state is State.BLOCKED for record in records),
        running=sum(record.state is State.OWNED for record in records),
        suspended=len(suspended),
        oldest_ready_at_us=min((record.registered_at_us for record in ready), default=None),
        pause=state.paused.get(queue),
        listeners=len(list(_listeners(state, queue))),
        blocked=len(free) - len(ready),
    )


def _listeners(state: MemoryState, queue: str) -> Iterator[SessionRow]:
    for row in list_sessions(state, live_only=True):
        if row.info.kind is SessionKind.RUNNER and serves(row.info.queues, queue):
            yield row


def explain(state: MemoryState, invocation_id: InvocationId, now_us: int) -> Standing | None:
    """Gather what decides whether one invocation runs."""
    known = snapshot(state, invocation_id)
    if known is None:
        return None
    record = state.records.get(invocation_id)
    owner = state.sessions.get(record.owner) if record and record.owner else None
    edges = sorted(record.edges) if record else []
    return Standing(
        snapshot=known,
        now_us=now_us,
        pause=state.paused.get(known.call.queue),
        listeners=tuple(_listeners(state, known.call.queue)),
        owner=row_of(state, owner) if owner else None,
        ahead=_ahead(state, record) if record else 0,
        waits=tuple(_awaited(state, each) for each in edges[:MOST_NAMED]),
        waits_total=len(edges),
        gates=gate_facts(state, record, now_us) if record else (),
    )


def _ahead(state: MemoryState, record: Record) -> int:
    if record.state is not State.READY or record.owner is not None:
        return 0
    place = (record.rank, record.id)
    number = 0
    for other in state.records.values():
        if other.state is State.READY and other.owner is None and other.call.queue == record.call.queue:
            number += (other.rank, other.id) < place
            if number >= MOST_AHEAD:
                break
    return number


def _awaited(state: MemoryState, invocation_id: InvocationId) -> Awaited:
    current = status(state, invocation_id)
    assert current is not None
    return Awaited(invocation_id=invocation_id, task_id=state.calls[invocation_id].task_id, status=current)


def unnamed_before(state: MemoryState, now_us: int) -> int:
    """Return the instant before which nothing was written that a known invocation names."""
    return unnamed_before_us(min((call.created_at_us for call in state.calls.values()), default=None), now_us)
