"""The PostgreSQL store as one side of a move: the functions of `120_moving.sql`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import structs

from pynenc.backends.postgresql.database import Database
from pynenc.backends.postgresql.gates import breaker_of, gate_records, gate_rows, lane_of, setting_of, unit_row
from pynenc.backends.postgresql.requests import MOVE_IN
from pynenc.backends.postgresql.rows import session_of, snapshot_of
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import AfterPolicy, Dedupe, DedupeMode, DedupePhase, Pause, SessionKind, SessionRow, Snapshot
from pynenc.ports.transfer import (
    Carried,
    CarriedData,
    CarriedUnit,
    Header,
    Seal,
    SealReply,
    SealState,
    Survey,
    Transfer,
    seal_of,
    text_of,
)

_CHUNK = 500
_AWAITED = 1
"""The flag of a record that somebody may wait for."""
_GATED = 2
"""The flag of a record that has gates or a flow."""

Row = dict[str, Any]


class PostgresqlTransfer(Transfer):
    """One side of a move."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def survey(self) -> Op[Survey]:
        ((seal, number),) = yield from self._database.call("move_survey")
        alive = yield from self._sessions(alive=True)
        return Survey(seal=seal_of(seal), invocations=number, sessions=alive)

    def _sessions(self, *, alive: bool) -> Op[tuple[SessionRow, ...]]:
        rows = yield from self._database.call("move_sessions(boolean)", alive)
        return tuple(session_of(row) for row in rows)

    def seal(self, mark: Seal, *, instead_of: Seal | None) -> Op[SealReply]:
        ((reply,),) = yield from self._database.call(
            "move_seal(text, text, boolean, boolean)",
            *(mark.text, text_of(instead_of)),
            *(mark.state is not SealState.MOVED, mark.state is SealState.ARRIVING),
        )
        return SealReply(reply)

    def unseal(self, mark: Seal) -> Op[bool]:
        ((is_open,),) = yield from self._database.call("move_unseal(text)", mark.text)
        return bool(is_open)

    def header(self) -> Op[Header]:
        ((next_rank, last_session, paused, used),) = yield from self._database.call("move_header")
        settings = yield from self._database.call("move_settings")
        gates = yield from self._database.call("move_gates")
        return Header(
            sequence=next_rank,
            last_session=last_session,
            paused=tuple(Pause(queue=name, by=by, reason=reason, at_us=at) for name, by, reason, at in paused),
            queues=tuple(used),
            sessions=(yield from self._sessions(alive=False)),
            settings=tuple(setting_of(row) for row in settings),
            rates=tuple((row[0], row[1]) for row in gates if row[1] is not None),
            breakers=tuple(breaker_of(row) for row in gates if row[1] is None),
        )

    def put_header(self, mark: Seal, header: Header) -> Op[None]:
        yield from self._database.call(
            "move_header_in(text, bigint, bigint, json, text[], json)",
            *(
                mark.text,
                header.sequence,
                header.last_session,
                _json(map(_pause_row, header.paused)),
                list(header.queues),
            ),
            _json(_session_row(each) for each in header.sessions),
        )
        yield from self._database.call(
            "move_gates_in(text, json, json, json)", mark.text, *map(_json, gate_rows(header))
        )

    def carry_out(self, after: InvocationId | None, limit: int) -> Op[list[Carried]]:
        details = yield from self._database.call("move_out(bytea, integer)", after, limit)
        snapshots = yield from self._database.call("move_snapshots(bytea[])", [row[0] for row in details])
        return [_carried(snapshot_of(known), row) for known, row in zip(snapshots, details, strict=True)]

    def carry_in(self, mark: Seal, items: Sequence[Carried]) -> Op[None]:
        yield from self._database.call(MOVE_IN, mark.text, *(_json(rows) for rows in _tables(items)))

    def data_out(self, after: bytes | None, limit: int) -> Op[list[CarriedData]]:
        rows = yield from self._database.call("move_data_out(bytea, integer)", after, limit)
        return [CarriedData(key=key, data=body, written_at_us=written_at) for key, body, written_at in rows]

    def data_in(self, mark: Seal, items: Sequence[CarriedData]) -> Op[None]:
        yield from self._database.call(
            "move_data_in(text, bytea[], bytea[], bigint[])",
            *(mark.text, [item.key for item in items]),
            *([item.data for item in items], [item.written_at_us for item in items]),
        )

    def clear(self, mark: Seal) -> Op[None]:
        while (yield from self._database.call("move_clear(text, integer)", mark.text, _CHUNK))[0][0]:
            pass


def _carried(snapshot: Snapshot, details: tuple[Any, ...]) -> Carried:
    _, band, retention_us, max_crashes, after_policy, key, phase, mode, digest, window_us, edges, units = details
    joined = edges or b""
    # Where its token waits is not carried: the other store finds out.
    control = None if snapshot.control is None else structs.replace(snapshot.control, gate=None)
    return Carried(
        snapshot=structs.replace(snapshot, control=control),
        band=band,
        retention_us=retention_us,
        max_crashes=max_crashes,
        after_policy=AfterPolicy(after_policy) if joined else AfterPolicy.ALL_SUCCEEDED,
        edges=tuple(InvocationId(joined[at : at + 16]) for at in range(0, len(joined), 16)),
        dedupe=None if key is None else Dedupe(key, DedupePhase(phase), DedupeMode(mode), digest, window_us),
        units=tuple(CarriedUnit(gate=gate, since_us=since_us, limit=limit) for gate, since_us, limit in units or ()),
    )


# --- rows of the tables ---


def _json(rows: Iterable[Row]) -> str:
    return json.dumps([{name: _plain(value) for name, value in row.items()} for row in rows], ensure_ascii=False)


def _plain(value: Any) -> Any:
    # What the server reads as a bytea.
    return f"\\x{value.hex()}" if isinstance(value, bytes) else value


def _tables(items: Sequence[Carried]) -> tuple[list[Row], ...]:
    """Return the rows of these invocations in the order of `MOVE_IN`."""
    named = [(item.snapshot.call.invocation_id, item) for item in items]
    return (
        [_call_row(item) for item in items],
        [_live_row(item) for item in items if item.snapshot.control is not None],
        [_outcome_row(item) for item in items if item.snapshot.outcome is not None],
        [row for item in items for row in _attempt_rows(item.snapshot)],
        [{"id": each, "body": item.snapshot.progress} for each, item in named if item.snapshot.progress],
        [{"waiter": each, "waited": waited} for each, item in named for waited in item.edges],
        [_key_row(item, item.dedupe) for item in items if item.dedupe is not None],
        [unit_row(each, unit) for each, item in named for unit in item.units],
    )


def _key_row(item: Carried, dedupe: Dedupe) -> Row:
    call = item.snapshot.call
    is_for_a_while = dedupe.phase is DedupePhase.FOR_A_WHILE
    return {
        "key": dedupe.key,
        "id": call.invocation_id,
        "mode": dedupe.mode.value,
        "hash": dedupe.arguments_hash,
        "until": call.created_at_us + dedupe.window_us if is_for_a_while else None,
    }


def _call_row(item: Carried) -> Row:
    call = item.snapshot.call
    return {
        "id": call.invocation_id,
        "task_id": call.task_id,
        "queue": call.queue,
        "language": call.language,
        "arguments": call.arguments,
        "policy": call.policy,
        "meta": call.meta,
        "parent": call.parent_id,
        "root": call.root_id,
        "created_at": call.created_at_us,
        "gates": gate_records(call.gates) if call.gates else None,
        "flow": None if call.flow is None else call.flow.key,
        "weight": None if call.flow is None else call.flow.weight,
        "lane": lane_of(call.queue, call.gates, call.flow),
    }


def _kept(item: Carried) -> Row:
    """Return what both a live record and an outcome keep for a requeue."""
    return {
        "id": item.snapshot.call.invocation_id,
        "queue": item.snapshot.call.queue,
        "retention": item.retention_us,
        "max_crashes": item.max_crashes,
        "key": None if item.dedupe is None else item.dedupe.key,
        "key_phase": 0 if item.dedupe is None else item.dedupe.phase.value,
    }


def _live_row(item: Carried) -> Row:
    control = item.snapshot.control
    assert control is not None
    return {
        **_kept(item),
        "rank": control.rank,
        "registered_at": control.registered_at_us,
        "state": control.state.value,
        "reason": control.reason.value,
        "epoch": control.epoch,
        "attempt": control.attempt,
        "crashes": control.crashes,
        "worker": control.worker,
        "need_left": control.need_left,
        "not_before": control.not_before_us,
        "expires_at": control.expires_at_us,
        "wait_until": control.wait_until_us,
        "cancel_requested": control.cancel_requested,
        "claimed_at": control.claimed_at_us,
        "started_at": control.started_at_us,
        "suspended_at": control.suspended_at_us,
        # That nobody waits for it is not known before everything is here.
        "flags": _AWAITED | (_GATED if item.snapshot.call.gates or item.snapshot.call.flow else 0),
        "after_policy": item.after_policy.value,
    }


def _outcome_row(item: Carried) -> Row:
    outcome = item.snapshot.outcome
    assert outcome is not None
    return {
        **_kept(item),
        "status": outcome.status.value,
        "payload": outcome.payload,
        "reason": outcome.reason,
        "attempt": outcome.attempt,
        "crashes": outcome.crashes,
        "epoch": outcome.epoch,
        "session": outcome.session,
        "worker": outcome.worker,
        "registered_at": outcome.registered_at_us,
        "claimed_at": outcome.claimed_at_us,
        "started_at": outcome.started_at_us,
        "ended_at": outcome.ended_at_us,
        "expires_at": outcome.expires_at_us,
        "band": item.band,
    }


def _attempt_rows(snapshot: Snapshot) -> Iterable[Row]:
    for place, attempt in enumerate(snapshot.attempts):
        yield {
            "id": snapshot.call.invocation_id,
            "position": place,
            "number": attempt.number,
            "epoch": attempt.epoch,
            "reason": attempt.reason.value,
            "session": attempt.session,
            "worker": attempt.worker,
            "claimed_at": attempt.claimed_at_us,
            "started_at": attempt.started_at_us,
            "ended_at": attempt.ended_at_us,
            "error": attempt.error,
            "detail": attempt.detail,
            "suspended_at": attempt.suspended_at_us,
        }


def _pause_row(pause: Pause) -> Row:
    return {"name": pause.queue, "paused_by": pause.by, "pause_reason": pause.reason, "paused_at": pause.at_us}


def _session_row(row: SessionRow) -> Row:
    return {
        "number": row.session,
        "info": msgspec.msgpack.encode(row.info),
        "lease": max(0, row.expires_at_us - row.opened_at_us),
        "bell": row.info.doorbell,
        "is_runner": row.info.kind is SessionKind.RUNNER,
        "queues": list(row.info.queues),
        "opened_at": row.opened_at_us,
        "expires_at": row.expires_at_us,
        "ended_at": row.ended_at_us,
    }
