"""Rows of the functions as records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pynenc.backends.postgresql.gates import gates_of
from pynenc.model.gates import Flow
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import (
    Attempt,
    Call,
    CancelNotice,
    Claim,
    Control,
    FinishedNotice,
    Message,
    Outcome,
    Pause,
    QueueStats,
    SessionInfo,
    SessionRow,
    Snapshot,
)
from pynenc.model.status import InvocationStatus, Reason, State, live_status

Row = tuple[Any, ...]


def claim_of(session: SessionId, row: Row) -> Claim:
    """Return a claim from a reply row of kind 1."""
    return Claim(
        invocation_id=row[2],
        session=session,
        epoch=row[10],
        attempt=row[11],
        crashes=row[12],
        task_id=row[3],
        arguments=row[5],
        policy=row[6],
        meta=row[7],
        queue=row[4],
        rank=row[13],
        parent_id=row[8],
        root_id=row[9],
        cancel_requested=bool(row[14]),
    )


def outcome_of(row: Row) -> Outcome:
    """Return an outcome from a reply row of kind 3 or 4."""
    return _outcome(row[2], (row[3], row[5], row[4], *row[10:20]))


def _outcome(invocation_id: InvocationId, fields: Sequence[Any]) -> Outcome:
    return Outcome(
        invocation_id=invocation_id,
        status=InvocationStatus(fields[0]),
        payload=fields[1],
        reason=fields[2],
        attempt=fields[3],
        crashes=fields[4],
        epoch=fields[5],
        session=fields[6],
        worker=fields[7],
        registered_at_us=fields[8],
        claimed_at_us=fields[9],
        started_at_us=fields[10],
        ended_at_us=fields[11],
        expires_at_us=fields[12],
    )


def message_of(row: Row) -> Message:
    """Return a message from a reply row of kind 4."""
    if row[3] is None:
        return CancelNotice(invocation_id=row[2], epoch=Epoch(row[12]), detail=row[4])
    return FinishedNotice(outcome=outcome_of(row))


def snapshot_of(row: Row) -> Snapshot:
    """Return all that is known of one invocation from a row of `snapshots`."""
    live, final = row[10:27], row[27:40]
    return Snapshot(
        call=Call(
            invocation_id=row[0],
            task_id=row[1],
            queue=row[2],
            language=row[3],
            arguments=row[4],
            policy=row[5],
            meta=row[6],
            parent_id=row[7],
            root_id=row[8],
            created_at_us=row[9],
            gates=gates_of(row[42]),
            flow=None if row[43] is None else Flow(row[43], row[44]),
        ),
        control=None if live[0] is None else _control(live, row[45]),
        outcome=None if final[0] is None else _outcome(row[0], final),
        attempts=tuple(_attempt(each) for each in row[40] or ()),
        progress=row[41] or b"",
    )


def _control(fields: Row, gate: str | None) -> Control:
    return Control(
        state=State(fields[0]),
        reason=Reason(fields[1]),
        rank=fields[2],
        epoch=fields[3],
        attempt=fields[4],
        crashes=fields[5],
        owner=fields[6],
        worker=fields[7],
        need_left=fields[8],
        not_before_us=fields[9],
        expires_at_us=fields[10],
        wait_until_us=fields[11],
        cancel_requested=fields[12],
        registered_at_us=fields[13],
        claimed_at_us=fields[14],
        started_at_us=fields[15],
        suspended_at_us=fields[16],
        gate=gate,
    )


def _attempt(fields: list[Any]) -> Attempt:
    number, epoch, reason, session, worker, claimed, started, ended, error, detail, suspended = fields
    return Attempt(
        number=number,
        epoch=Epoch(epoch),
        reason=Reason(reason),
        session=SessionId(session),
        worker=worker,
        claimed_at_us=claimed,
        started_at_us=started,
        ended_at_us=ended,
        error=bytes.fromhex(error),
        detail=detail,
        suspended_at_us=suspended,
    )


def session_of(row: Row) -> SessionRow:
    """Return a session from its row."""
    return SessionRow(
        session=SessionId(row[0]),
        info=msgspec.msgpack.decode(row[1], type=SessionInfo),
        opened_at_us=row[2],
        expires_at_us=row[3],
        ended_at_us=row[4],
        owned=row[5],
        running=row[6],
    )


def pause_of(queue: str, paused: bool, by: str, reason: str, at_us: int) -> Pause | None:
    """Return what is known of a queue that is paused; None if it is not."""
    return Pause(queue=queue, by=by, reason=reason, at_us=at_us) if paused else None


def stats_of(row: Row) -> QueueStats:
    """Return a queue from its row."""
    queue, ready, delayed, running, suspended, oldest, *pause, listeners, blocked = row
    return QueueStats(
        queue=queue,
        ready=ready,
        delayed=delayed,
        running=running,
        suspended=suspended,
        oldest_ready_at_us=oldest,
        pause=pause_of(queue, *pause),
        listeners=listeners,
        blocked=blocked,
    )


def status_of(
    status: str | None, state: int | None, reason: int | None, started: bool | None, parked: bool | None
) -> InvocationStatus | None:
    """Return the public status from where an invocation stands; None if it is unknown."""
    if status is not None:
        return InvocationStatus(status)
    if state is None or reason is None:
        return None
    return live_status(State(state), Reason(reason), started=bool(started), parked=bool(parked))


def of_kind(rows: Iterable[Row], kind: int) -> list[Row]:
    """Return the reply rows of one kind."""
    return [row for row in rows if row[0] == kind]
