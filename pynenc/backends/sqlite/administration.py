"""What people do to queues and to work that has ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pynenc.backends.sqlite.messages import keep_outcomes
from pynenc.backends.sqlite.rows import KEYED, OUTCOME_COLUMNS, STATUSES, gate_flags, select_in
from pynenc.backends.sqlite.submitting import advance_sequence, read_sequence
from pynenc.backends.sqlite.ticking import drop
from pynenc.backends.sqlite.unit import Unit, serves
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT
from pynenc.model.records import Pause
from pynenc.model.status import InvocationStatus, Reason


def pause(unit: Unit, given: Pause) -> None:
    """Stop claims of new work from a queue, and note who did; of one that is paused everything stays as it is."""
    number = unit.names.number(unit.connection, given.queue)
    unit.connection.execute(
        "UPDATE queue SET paused = 1, paused_by = ?, pause_reason = ?, paused_at = ? WHERE id = ? AND paused = 0",
        (given.by, given.reason, given.at_us, number),
    )


def resume_queue(unit: Unit, queue: str) -> None:
    """Let a paused queue be claimed from again, and wake those who would."""
    connection = unit.connection
    if not connection.execute("UPDATE queue SET paused = 0 WHERE name = ? AND paused = 1", (queue,)).rowcount:
        return
    for session, queues in connection.execute("SELECT id, idle_for FROM session WHERE idle_for IS NOT NULL").fetchall():
        if serves(json.loads(queues), queue):
            connection.execute("UPDATE session SET idle_for = NULL WHERE id = ?", (session,))
            unit.ring(session)


def requeue(unit: Unit, ids: Sequence[InvocationId]) -> list[InvocationId]:
    """Put final invocations back to READY; return those that were."""
    connection = unit.connection
    rows = {
        row[0]: row
        for row in select_in(
            connection, f"SELECT {OUTCOME_COLUMNS} FROM outcome WHERE id IN (*)", list(dict.fromkeys(ids))
        )
    }
    final = [each for each in dict.fromkeys(ids) if each in rows]
    keep_outcomes(unit, final)
    sequence = read_sequence(connection)
    for place, each in enumerate(final):
        _put_back(unit, rows[each], sequence + place)
    advance_sequence(connection, len(final))
    return final


def _put_back(unit: Unit, outcome: tuple[Any, ...], key: int) -> None:
    invocation_id, status, payload, _, attempt, _, epoch, session, worker, *instants = outcome
    registered_at, claimed_at, started_at, ended_at, _ = instants
    connection = unit.connection
    ended_as = STATUSES[status]
    connection.execute(
        "INSERT INTO attempt (id, number, epoch, reason, session, worker, claimed_at, started_at, ended_at, "
        "error, detail) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            *(invocation_id, attempt, epoch, int(Reason.REQUEUED), session, worker),
            *(registered_at if claimed_at is None else claimed_at, started_at, ended_at),
            *(payload if ended_as is InvocationStatus.FAILED else b"", ended_as.value),
        ),
    )
    queue, band, retention, max_crashes, gates, parent = connection.execute(
        "SELECT queue, band, retention, max_crashes, gates, parent FROM call WHERE id = ?", (invocation_id,)
    ).fetchone()
    keyed = connection.execute("SELECT 1 FROM dedupe WHERE id = ?", (invocation_id,)).fetchone()
    connection.execute(
        "INSERT INTO live (id, state, reason, queue, rank, epoch, attempt, crashes, worker, need_left, "
        "cancel_requested, registered_at, retention, max_crashes, flags) VALUES (?,1,?,?,?,?,0,0,0,0,0,?,?,?,?)",
        (
            *(invocation_id, int(Reason.REQUEUED), queue, band * BAND_UNIT + key, epoch),
            *(registered_at, retention, max_crashes, (KEYED if keyed else 0) | gate_flags(gates, parent)),
        ),
    )
    connection.execute("DELETE FROM outcome WHERE id = ?", (invocation_id,))
    if gates is None:
        unit.wake_for(queue)
        return
    unit.forget_one(invocation_id)
    live = unit.live(invocation_id)
    assert live is not None
    unit.placed(live)


def purge(unit: Unit, ids: Sequence[InvocationId] | None) -> int:
    """Forget these final invocations, or every invocation of the app."""
    if ids is None:
        return _purge_everything(unit)
    wanted = list(dict.fromkeys(ids))
    final = [row[0] for row in select_in(unit.connection, "SELECT id FROM outcome WHERE id IN (*)", wanted)]
    final = list(dict.fromkeys(final))
    drop(unit, final)
    return len(final)


def _purge_everything(unit: Unit) -> int:
    connection = unit.connection
    number: int = connection.execute("SELECT count(*) FROM call").fetchone()[0]
    for table in (
        *("call", "live", "outcome", "attempt", "wait", "waitlist"),
        *("inbox", "watch", "dedupe", "progress", "blob"),
        *("lane", "share", "resuming", "kin", "holder", "rate", "breaker", "gate_timer"),
    ):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE queue SET virtual = NULL WHERE virtual IS NOT NULL")
    unit.forget()
    return number
