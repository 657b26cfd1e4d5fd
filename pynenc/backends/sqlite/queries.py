"""Reads: what is known of invocations and queues. Each runs on one consistent state."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec

from pynenc.backends.sqlite.gate_facts import gate_facts, parked_gates
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.rows import (
    ATTEMPT_COLUMNS,
    CALL_COLUMNS,
    LIVE_COLUMNS,
    OUTCOME_COLUMNS,
    STATUS_CODES,
    STATUSES,
    Live,
    attempt_of,
    call_of,
    control_of,
    outcome_of,
    select_in,
)
from pynenc.backends.sqlite.sessions import session_rows
from pynenc.backends.sqlite.unit import serves
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    Attempt,
    Awaited,
    DeadFilter,
    DeadMark,
    DeadPage,
    ListFilter,
    Outcome,
    Pause,
    QueueStats,
    SessionKind,
    SessionRow,
    Snapshot,
    Standing,
    dead_mark,
    unnamed_before_us,
)
from pynenc.model.status import InvocationStatus, Reason, State, ready_status

MOST_AHEAD = 10_000
MOST_NAMED = 20

_PARKED = "(lane > 0 AND EXISTS (SELECT 1 FROM lane WHERE lane.id = live.lane AND parked IS NOT NULL))"
_LIVE_STATUS = f"""CASE
    WHEN {_PARKED} THEN '{InvocationStatus.CONCURRENCY_CONTROLLED.value}'
    WHEN state = {int(State.OWNED)} AND started_at IS NULL THEN '{InvocationStatus.PENDING.value}'
    WHEN state = {int(State.OWNED)} THEN '{InvocationStatus.RUNNING.value}'
    WHEN state = {int(State.SUSPENDED)} THEN '{InvocationStatus.PAUSED.value}'
    {" ".join(f"WHEN reason = {int(reason)} THEN '{ready_status(reason).value}'" for reason in Reason)}
END"""


def snapshots(connection: Any, names: QueueNames, ids: Sequence[InvocationId]) -> list[Snapshot | None]:
    """Return what is known of each id, in order."""
    wanted = list(dict.fromkeys(ids))
    calls = {row[0]: row for row in select_in(connection, f"SELECT {CALL_COLUMNS} FROM call WHERE id IN (*)", wanted)}
    rows = [Live(*row) for row in select_in(connection, f"SELECT {LIVE_COLUMNS} FROM live WHERE id IN (*)", wanted)]
    gates = parked_gates(connection, rows)
    lives = {live.id: control_of(live, gates.get(live.id)) for live in rows}
    ended = _outcomes_by_id(connection, wanted)
    attempts: dict[InvocationId, list[Attempt]] = {}
    statement = f"SELECT id, {ATTEMPT_COLUMNS} FROM attempt WHERE id IN (*) ORDER BY position"
    for row in select_in(connection, statement, wanted):
        attempts.setdefault(row[0], []).append(attempt_of(row[1:]))
    progress = dict(select_in(connection, "SELECT id, body FROM progress WHERE id IN (*)", wanted))
    return [
        Snapshot(
            call=call_of(calls[each], names.name(connection, calls[each][2])),
            control=lives.get(each),
            outcome=ended.get(each),
            attempts=tuple(attempts.get(each, ())),
            progress=progress.get(each, b""),
        )
        if each in calls
        else None
        for each in ids
    ]


def _outcomes_by_id(connection: Any, ids: list[InvocationId]) -> dict[InvocationId, Outcome]:
    statement = f"SELECT {OUTCOME_COLUMNS} FROM outcome WHERE id IN (*)"
    return {row[0]: outcome_of(row) for row in select_in(connection, statement, ids)}


def outcomes(connection: Any, ids: Sequence[InvocationId]) -> list[Outcome | None]:
    """Return the outcomes of final invocations, in order."""
    found = _outcomes_by_id(connection, list(ids))
    return [found.get(each) for each in ids]


def statuses(connection: Any, ids: Sequence[InvocationId]) -> list[InvocationStatus | None]:
    """Return the public status of each id, in order."""
    wanted = list(ids)
    found = {
        each: STATUSES[code]
        for each, code in select_in(connection, "SELECT id, status FROM outcome WHERE id IN (*)", wanted)
    }
    for each, status in select_in(connection, f"SELECT id, {_LIVE_STATUS} FROM live WHERE id IN (*)", wanted):
        found[each] = InvocationStatus(status)
    return [found.get(each) for each in ids]


def listing(connection: Any, names: QueueNames, wanted: ListFilter) -> list[Snapshot]:
    """Return matching invocations, newest id first."""
    condition, values = _condition(wanted)
    ids = [
        row[0]
        for row in connection.execute(
            f"SELECT id FROM call WHERE {condition} ORDER BY id DESC LIMIT ?", (*values, wanted.limit)
        )
    ]
    return [found for found in snapshots(connection, names, ids) if found is not None]


def dead(connection: Any, names: QueueNames, wanted: DeadFilter) -> DeadPage:
    """Return a page of what ended dead, newest ending first."""
    upper, since_us = wanted.bounds()
    in_queue = "" if wanted.queue is None else "AND c.queue = (SELECT id FROM queue WHERE name = ?)"
    rows = connection.execute(
        "SELECT o.id, o.ended_at, o.status, c.task_id FROM outcome o INDEXED BY outcome_dead "
        "CROSS JOIN call c ON c.id = o.id WHERE o.status IN (2, 4, 5) AND o.ended_at >= ? "
        f"AND (o.ended_at, o.id) < (?, ?) {in_queue} ORDER BY o.ended_at DESC, o.id DESC LIMIT ?",
        (since_us, *msgspec.structs.astuple(upper), *(() if wanted.queue is None else (wanted.queue,)), wanted.budget),
    ).fetchall()
    found = snapshots(connection, names, [row[0] for row in rows if wanted.takes(STATUSES[row[2]], row[3])])
    marks = [DeadMark(row[1], row[0]) for row in rows]
    return DeadPage(found=tuple(each for each in found if each is not None), before=dead_mark(marks, wanted.budget))


def count(connection: Any, task_id: str | None, wanted: Sequence[InvocationStatus]) -> int:
    """Count invocations by task and status."""
    condition, values = _condition(ListFilter(task_id=task_id, statuses=tuple(wanted)))
    number: int = connection.execute(f"SELECT count(*) FROM call WHERE {condition}", values).fetchone()[0]
    return number


def unnamed_before(connection: Any, now_us: int) -> int:
    """Return the instant before which nothing was written that a known invocation names."""
    return unnamed_before_us(connection.execute("SELECT min(created_at) FROM call").fetchone()[0], now_us)


def _condition(wanted: ListFilter) -> tuple[str, list[Any]]:
    parts: list[tuple[str, list[Any]]] = [("1", [])]
    if wanted.before is not None:
        parts.append(("id < ?", [wanted.before]))
    if wanted.task_id is not None:
        parts.append(("task_id = ?", [wanted.task_id]))
    if wanted.queue is not None:
        parts.append(("queue = (SELECT id FROM queue WHERE name = ?)", [wanted.queue]))
    if wanted.parent_id is not None:
        parts.append(("parent = ?", [wanted.parent_id]))
    if wanted.statuses:
        parts.append(_of_statuses(wanted.statuses))
    return " AND ".join(part for part, _ in parts), list(chain.from_iterable(values for _, values in parts))


def _of_statuses(wanted: Sequence[InvocationStatus]) -> tuple[str, list[Any]]:
    final = [STATUS_CODES[status] for status in wanted if status in STATUS_CODES]
    alive = [status.value for status in wanted if status not in STATUS_CODES]
    choices = []
    if final:
        marks = ",".join("?" * len(final))
        choices.append(f"EXISTS (SELECT 1 FROM outcome WHERE outcome.id = call.id AND status IN ({marks}))")
    if alive:
        marks = ",".join("?" * len(alive))
        choices.append(f"EXISTS (SELECT 1 FROM live WHERE live.id = call.id AND {_LIVE_STATUS} IN ({marks}))")
    return f"({' OR '.join(choices)})", [*final, *alive]


def children(connection: Any, parent: InvocationId) -> list[InvocationId]:
    """Return what a run of `parent` submitted, ordered by id."""
    return [row[0] for row in connection.execute("SELECT id FROM call WHERE parent = ? ORDER BY id", (parent,))]


def _listeners(sessions: Sequence[SessionRow], queue: str) -> list[SessionRow]:
    return [row for row in sessions if row.info.kind is SessionKind.RUNNER and serves(row.info.queues, queue)]


def queue_stats(connection: Any) -> list[QueueStats]:
    """Return one row per queue, by name."""
    sessions = session_rows(connection, "WHERE ended_at IS NULL")
    counted = {
        row[0]: row[1:]
        for row in connection.execute(
            f"SELECT queue, sum(state = 1 AND owner IS NULL AND NOT {_PARKED}), sum(state = 0), sum(state = 2), "
            "sum(state = 3 OR (state = 1 AND owner IS NOT NULL)), "
            f"min(CASE WHEN state = 1 AND owner IS NULL AND NOT {_PARKED} THEN registered_at END), sum({_PARKED}) "
            "FROM live GROUP BY queue"
        )
    }
    pauses = {each.queue: each for each in paused_queues(connection)}
    return [
        _stats_of(name, pauses.get(name), counted.get(number, (0, 0, 0, 0, None, 0)), len(_listeners(sessions, name)))
        for number, name in connection.execute("SELECT id, name FROM queue WHERE used OR paused ORDER BY name")
    ]


def paused_queues(connection: Any) -> list[Pause]:
    """Return what is known of the queues that are paused, by name."""
    rows = connection.execute(
        "SELECT name, paused_by, pause_reason, paused_at FROM queue WHERE paused = 1 ORDER BY name"
    )
    return [Pause(queue=name, by=by, reason=reason, at_us=at) for name, by, reason, at in rows]


def _stats_of(queue: str, pause: Pause | None, counted: tuple[Any, ...], listeners: int) -> QueueStats:
    ready, delayed, running, suspended, oldest, blocked = counted
    return QueueStats(
        queue=queue,
        ready=ready,
        delayed=delayed,
        running=running,
        suspended=suspended,
        oldest_ready_at_us=oldest,
        pause=pause,
        listeners=listeners,
        blocked=blocked,
    )


def explain(connection: Any, names: QueueNames, invocation_id: InvocationId, now: int) -> Standing | None:
    """Gather what decides whether one invocation runs."""
    known = snapshots(connection, names, [invocation_id])[0]
    if known is None:
        return None
    queue = known.call.queue
    owner = known.control.owner if known.control is not None else None
    owners = session_rows(connection, "WHERE id = ?", (owner,)) if owner is not None else []
    waited = [
        row[0]
        for row in connection.execute("SELECT waited FROM wait WHERE waiter = ? ORDER BY waited", (invocation_id,))
    ]
    return Standing(
        snapshot=known,
        now_us=now,
        pause=next((each for each in paused_queues(connection) if each.queue == queue), None),
        listeners=tuple(_listeners(session_rows(connection, "WHERE ended_at IS NULL"), queue)),
        owner=owners[0] if owners else None,
        ahead=_ahead(connection, known),
        waits=_awaited(connection, waited[:MOST_NAMED]),
        waits_total=len(waited),
        gates=gate_facts(connection, names, invocation_id, now) if known.call.gates else (),
    )


def _ahead(connection: Any, known: Snapshot) -> int:
    control = known.control
    if control is None or control.state is not State.READY or control.owner is not None:
        return 0
    queue, gated = connection.execute("SELECT id, gated FROM queue WHERE name = ?", (known.call.queue,)).fetchone()
    number = 0
    # Apart, because plain work is in order of rank in its index, and what is gated only within each lane.
    for lanes in ("lane IS NULL", "lane > 0") if gated else ("lane IS NULL",):
        number += connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM live WHERE queue = ? AND {lanes} AND state = 1 AND owner IS NULL "
            "AND (rank, id) < (?, ?) LIMIT ?)",
            (queue, control.rank, known.call.invocation_id, MOST_AHEAD - number),
        ).fetchone()[0]
    return number


def _awaited(connection: Any, waited: list[InvocationId]) -> tuple[Awaited, ...]:
    tasks = dict(select_in(connection, "SELECT id, task_id FROM call WHERE id IN (*)", list(waited)))
    return tuple(
        Awaited(invocation_id=each, task_id=tasks[each], status=status)
        for each, status in zip(waited, statuses(connection, waited), strict=True)
        if status is not None
    )
