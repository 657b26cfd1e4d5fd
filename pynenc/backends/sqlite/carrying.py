"""A file as one side of a move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pynenc.backends.sqlite.administration import pause, purge
from pynenc.backends.sqlite.gate_rows import encode_gates
from pynenc.backends.sqlite.gate_state import Breaker, every_setting
from pynenc.backends.sqlite.queries import paused_queues, snapshots
from pynenc.backends.sqlite.requests import View
from pynenc.backends.sqlite.rows import (
    ATTEMPT_COLUMNS,
    AWAITED,
    CALL_COLUMNS,
    KEYED,
    LIVE_COLUMNS,
    OUTCOME_COLUMNS,
    READY,
    STATUS_CODES,
    Live,
    gate_flags,
    policy_flags,
    policy_of,
    select_in,
)
from pynenc.backends.sqlite.sealing import kept_seal
from pynenc.backends.sqlite.sessions import session_rows
from pynenc.backends.sqlite.submitting import read_sequence
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    AfterPolicy,
    Attempt,
    Call,
    Dedupe,
    DedupeMode,
    DedupePhase,
    Outcome,
    SessionRow,
    Snapshot,
)
from pynenc.ports.transfer import (
    Carried,
    CarriedBreaker,
    CarriedData,
    CarriedUnit,
    Header,
    Seal,
    SealReply,
    SealState,
    Survey,
    seal_of,
    text_of,
)

_DETAILS = (
    "SELECT call.id, band, call.retention, call.max_crashes, coalesce(flags, 0) FROM call LEFT JOIN live USING (id) "
    "WHERE call.id IN (*)"
)
_KEYS = "SELECT id, key, phase, mode, arguments, window FROM dedupe WHERE id IN (*)"
_UNITS = "SELECT id, gate, since, most FROM holder WHERE id IN (*) ORDER BY id, gate"
_EDGES = "SELECT waiter, waited FROM wait WHERE waiter IN (*) ORDER BY waiter, waited"


def survey(view: View) -> Survey:
    """Return what is there."""
    number: int = view.connection.execute("SELECT count(*) FROM call").fetchone()[0]
    alive = tuple(session_rows(view.connection, "WHERE ended_at IS NULL"))
    return Survey(seal=seal_of(kept_seal(view.connection)), invocations=number, sessions=alive)


def seal(unit: Unit, mark: Seal, instead_of: Seal | None) -> SealReply:
    """Close the store, if it may be."""
    connection = unit.connection
    kept = kept_seal(connection)
    if kept == mark.text:
        return SealReply.SEALED
    if kept != text_of(instead_of):
        return SealReply.CHANGED
    if mark.state is not SealState.MOVED:
        if connection.execute("SELECT 1 FROM session WHERE ended_at IS NULL LIMIT 1").fetchone():
            return SealReply.BUSY
        occupied = connection.execute("SELECT EXISTS (SELECT 1 FROM call) OR EXISTS (SELECT 1 FROM blob)").fetchone()[0]
        if mark.state is SealState.ARRIVING and occupied:
            return SealReply.OCCUPIED
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('sealed', ?)", (mark.text,))
    return SealReply.SEALED


def unseal(unit: Unit, mark: Seal) -> bool:
    """Let everybody in again; return whether they may come in."""
    unit.connection.execute("DELETE FROM meta WHERE name = 'sealed' AND value = ?", (mark.text,))
    return not kept_seal(unit.connection)


def header(view: View) -> Header:
    """Return numbers, queues and sessions."""
    connection = view.connection
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'session'").fetchone()
    return Header(
        sequence=read_sequence(connection),
        last_session=last[0] if last else 0,
        paused=tuple(paused_queues(connection)),
        queues=tuple(row[0] for row in connection.execute("SELECT name FROM queue WHERE used ORDER BY name")),
        sessions=tuple(session_rows(connection, "WHERE ended_at IS NOT NULL")),
        settings=tuple(every_setting(connection)),
        rates=tuple(connection.execute("SELECT gate, arrival FROM rate ORDER BY gate").fetchall()),
        breakers=tuple(
            CarriedBreaker(name=name, failures=failures, open_since_us=since, open_until_us=until)
            for name, failures, since, until in connection.execute(
                "SELECT gate, failures, open_since, open_until FROM breaker ORDER BY gate"
            )
        ),
    )


def put_header(unit: Unit, given: Header) -> None:
    """Go on where the other store stopped."""
    connection = unit.connection
    connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'sequence'", (given.sequence,))
    connection.executemany(
        "INSERT OR IGNORE INTO session (id, info, doorbell, lease, opened_at, expires_at, ended_at) "
        "VALUES (?,?,?,?,?,?,?)",
        [_session_row(row) for row in given.sessions],
    )
    # The counter of the table is what keeps a number from being used twice.
    if not connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'session'").fetchone():
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('session', 0)")
    connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'session'", (given.last_session,))
    for queue in given.queues:
        unit.names.number(connection, queue, used=True)
    for paused in given.paused:
        pause(unit, paused)
    gating = unit.gating
    for setting in given.settings:
        gating.settings.put(setting)
    for name, arrival in given.rates:
        gating.times.put(name, max(arrival, gating.times.arrival(name)))
    for each in given.breakers:
        gating.breakers.put(each.name, Breaker(each.failures, each.open_since_us, each.open_until_us))


def _session_row(row: SessionRow) -> tuple[Any, ...]:
    lease_us = max(0, row.expires_at_us - row.opened_at_us)
    info = msgspec.msgpack.encode(row.info)
    return row.session, info, row.info.doorbell, lease_us, row.opened_at_us, row.expires_at_us, row.ended_at_us


def carry_out(view: View, after: InvocationId | None, limit: int) -> list[Carried]:
    """Return the next invocations by id."""
    connection = view.connection
    ids = [
        row[0]
        for row in connection.execute("SELECT id FROM call WHERE id > ? ORDER BY id LIMIT ?", (after or b"", limit))
    ]
    details = {row[0]: row[1:] for row in select_in(connection, _DETAILS, ids)}
    keys = {
        each: Dedupe(key, DedupePhase(phase), DedupeMode(mode), arguments, window)
        for each, key, phase, mode, arguments, window in select_in(connection, _KEYS, ids)
    }
    units: dict[InvocationId, list[CarriedUnit]] = {}
    for each, gate, since, most in select_in(connection, _UNITS, ids):
        units.setdefault(each, []).append(CarriedUnit(gate=gate, since_us=since, limit=most))
    edges: dict[InvocationId, list[InvocationId]] = {}
    for waiter, waited in select_in(connection, _EDGES, ids):
        edges.setdefault(waiter, []).append(waited)
    return [
        _carried(snapshot, details[each], edges.get(each, ()), keys.get(each), units.get(each, ()))
        for each, snapshot in zip(ids, snapshots(connection, view.names, ids), strict=True)
        if snapshot is not None
    ]


def _carried(
    snapshot: Snapshot,
    details: tuple[Any, ...],
    edges: Sequence[InvocationId],
    dedupe: Dedupe | None,
    units: Sequence[CarriedUnit],
) -> Carried:
    band, retention, max_crashes, flags = details
    # Where its token waits is not carried: the other store finds out.
    control = None if snapshot.control is None else msgspec.structs.replace(snapshot.control, gate=None)
    return Carried(
        snapshot=msgspec.structs.replace(snapshot, control=control),
        band=band,
        retention_us=retention,
        max_crashes=max_crashes,
        after_policy=policy_of(flags) if edges else AfterPolicy.ALL_SUCCEEDED,
        edges=tuple(edges),
        dedupe=dedupe,
        units=tuple(units),
    )


def carry_in(unit: Unit, items: Sequence[Carried]) -> None:
    """Keep invocations as they are; those that are known are passed over."""
    connection = unit.connection
    known = {
        row[0]
        for row in select_in(
            connection, "SELECT id FROM call WHERE id IN (*)", [item.snapshot.call.invocation_id for item in items]
        )
    }
    fresh = [item for item in items if item.snapshot.call.invocation_id not in known]
    _insert(connection, "call", f"{CALL_COLUMNS}, band, retention, max_crashes", [_call_row(unit, i) for i in fresh])
    _insert(connection, "live", LIVE_COLUMNS, [_live_row(unit, i) for i in fresh if i.snapshot.control is not None])
    outcomes = [i.snapshot.outcome for i in fresh if i.snapshot.outcome is not None]
    _insert(connection, "outcome", OUTCOME_COLUMNS, [_outcome_row(each) for each in outcomes])
    _insert(
        connection,
        "attempt",
        f"id, {ATTEMPT_COLUMNS}",
        [(i.snapshot.call.invocation_id, *_attempt_row(attempt)) for i in fresh for attempt in i.snapshot.attempts],
    )
    ids = [(i.snapshot.call.invocation_id, i) for i in fresh]
    _insert(connection, "wait", "waiter, waited", [(each, waited) for each, i in ids for waited in i.edges])
    _insert(
        connection,
        "dedupe",
        "key, id, phase, mode, arguments, window",
        [
            (key.key, each, key.phase.value, key.mode.value, key.arguments_hash, key.window_us)
            for each, i in ids
            if (key := i.dedupe) is not None
        ],
    )
    _insert(
        connection,
        "holder",
        "gate, id, since, lenders, most",
        [(held.gate, each, held.since_us, b"", held.limit) for each, i in ids for held in i.units],
    )
    _insert(connection, "progress", "id, body", [(each, i.snapshot.progress) for each, i in ids if i.snapshot.progress])
    _queue_in_lanes(unit, [each for each, i in ids if i.snapshot.call.gates or i.snapshot.call.flow is not None])


def _queue_in_lanes(unit: Unit, ids: Sequence[InvocationId]) -> None:
    unit.load(ids)
    for each in ids:
        live = unit.live(each)
        if live is not None and live.state == READY:
            unit.placed(live)


def _insert(connection: Any, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    marks = ",".join("?" * len(columns.split(",")))
    connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def _call_row(unit: Unit, item: Carried) -> tuple[Any, ...]:
    call: Call = item.snapshot.call
    queue = unit.names.number(unit.connection, call.queue, used=True)
    return (
        *(call.invocation_id, call.task_id, queue, call.language, call.arguments, call.policy, call.meta),
        *(call.parent_id, call.root_id, call.created_at_us, encode_gates(call.gates, call.flow)),
        *(item.band, item.retention_us, item.max_crashes),
    )


def _live_row(unit: Unit, item: Carried) -> tuple[Any, ...]:
    control = item.snapshot.control
    assert control is not None
    # That nobody waits for it is not known before everything is here.
    call = item.snapshot.call
    flags = AWAITED | gate_flags(encode_gates(call.gates, call.flow), call.parent_id) | policy_flags(item.after_policy)
    if item.dedupe is not None:
        flags |= KEYED
    live = Live(
        id=call.invocation_id,
        state=control.state.value,
        reason=control.reason.value,
        queue=unit.names.number(unit.connection, call.queue, used=True),
        rank=control.rank,
        epoch=control.epoch,
        attempt=control.attempt,
        crashes=control.crashes,
        owner=None,
        worker=control.worker,
        need_left=control.need_left,
        not_before=control.not_before_us,
        expires_at=control.expires_at_us,
        wait_until=control.wait_until_us,
        cancel_requested=int(control.cancel_requested),
        registered_at=control.registered_at_us,
        claimed_at=control.claimed_at_us,
        started_at=control.started_at_us,
        suspended_at=control.suspended_at_us,
        retention=item.retention_us,
        max_crashes=item.max_crashes,
        due=None,
        flags=flags,
        lane=None,
    )
    live.due = live.compute_due()
    return msgspec.structs.astuple(live)


def _outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    fields = msgspec.structs.astuple(outcome)
    return (fields[0], STATUS_CODES[outcome.status], *fields[2:])


def _attempt_row(attempt: Attempt) -> tuple[Any, ...]:
    fields = msgspec.structs.astuple(attempt)
    return (*fields[:2], attempt.reason.value, *fields[3:])


def data_out(view: View, after: bytes | None, limit: int) -> list[CarriedData]:
    """Return the next client data by key."""
    rows = view.connection.execute(
        "SELECT key, data, written_at FROM blob WHERE key > ? ORDER BY key LIMIT ?", (after or b"", limit)
    )
    return [CarriedData(key=key, data=data, written_at_us=written_at) for key, data, written_at in rows]


def data_in(unit: Unit, items: Sequence[CarriedData]) -> None:
    """Keep client data with its age."""
    unit.connection.executemany(
        "INSERT OR REPLACE INTO blob (key, data, written_at) VALUES (?,?,?)",
        [(item.key, item.data, item.written_at_us) for item in items],
    )


def clear(unit: Unit) -> None:
    """Forget everything but the seal, and the numbers of queues, which processes remember."""
    purge(unit, None)
    unit.connection.execute("DELETE FROM session")
    unit.connection.execute("DELETE FROM gate_setting")
    unit.connection.execute("UPDATE queue SET used = 0, paused = 0")
    unit.names.forget()
