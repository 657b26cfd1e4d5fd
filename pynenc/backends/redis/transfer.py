"""The Redis store as one side of a move: the scripts `move_*`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from pynenc.backends.redis.caller import MOVING, Caller, under
from pynenc.backends.redis.codec import KEY, control_fields, pack, snapshot_of, unpack
from pynenc.backends.redis.gates import (
    breaker_fields,
    breaker_of,
    call_fields,
    dedupe_of,
    pairs_of,
    setting_fields,
    setting_of,
    terms_of,
    unit_of,
)
from pynenc.backends.redis.pauses import carried_pause, pause_fields
from pynenc.backends.redis.sessions import row_of
from pynenc.errors import StoreCorrupted
from pynenc.io import Op
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import AfterPolicy, Attempt, Call, Control, Dedupe, Outcome
from pynenc.ports.transfer import (
    Carried,
    CarriedData,
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
_RETENTION, _MAX_CRASHES, _POLICY = 5, 6, 23
_FINAL_BAND, _FINAL_RETENTION, _FINAL_MAX_CRASHES, _FINAL_KEY = 13, 14, 15, 16
"""Places in a control record and in an outcome, see `constants.json`."""
_BAND_BITS = 44


class RedisTransfer(Transfer):
    """One side of a move."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._data_ages: list[tuple[bytes, int]] | None = None
        """Keys of all client data with when they were written, by key; read anew with each first page."""

    def survey(self) -> Op[Survey]:
        sealed, number, rows = yield from self._caller.read("move_survey", moving=MOVING)
        return Survey(seal=seal_of(sealed.decode()), invocations=number, sessions=tuple(row_of(row) for row in rows))

    def seal(self, mark: Seal, *, instead_of: Seal | None) -> Op[SealReply]:
        needs_silence = mark.state is not SealState.MOVED
        wish = pack((mark.text, text_of(instead_of), needs_silence, mark.state is SealState.ARRIVING))
        reply: bytes = yield from self._caller.call("move_seal", wish, moving=MOVING, durable=True)
        return SealReply(reply.decode())

    def unseal(self, mark: Seal) -> Op[bool]:
        is_open: int = yield from self._caller.call("move_unseal", mark.text, moving=MOVING, durable=True)
        return bool(is_open)

    def header(self) -> Op[Header]:
        fields = yield from self._caller.read("move_header", moving=MOVING)
        sequence, last, paused, queues, rows, settings, rates, breakers = fields
        return Header(
            sequence=sequence,
            last_session=last,
            paused=tuple(carried_pause(*each) for each in sorted(pairs_of(paused))),
            queues=tuple(sorted(queue.decode() for queue in queues)),
            sessions=tuple(row_of(row) for row in rows),
            settings=tuple(setting_of(name, unpack(numbers)) for name, numbers in sorted(pairs_of(settings))),
            rates=tuple(sorted((name.decode(), int(float(arrival))) for name, arrival in pairs_of(rates))),
            breakers=tuple(breaker_of(name, unpack(known)) for name, known in sorted(pairs_of(breakers))),
        )

    def put_header(self, mark: Seal, header: Header) -> Op[None]:
        sessions = [
            (row.session, msgspec.msgpack.encode(row.info), row.opened_at_us, row.expires_at_us, row.ended_at_us)
            for row in header.sessions
        ]
        settings = [(name, pack(numbers)) for name, numbers in map(setting_fields, header.settings)]
        breakers = [(each.name, pack(breaker_fields(each))) for each in header.breakers]
        paused = [(each.queue, pause_fields(each)) for each in header.paused]
        kept = (header.sequence, header.last_session, paused, header.queues, sessions)
        fields = pack((*kept, settings, header.rates, breakers))
        yield from self._caller.call("move_header_in", fields, moving=under(mark))

    def carry_out(self, after: InvocationId | None, limit: int) -> Op[list[Carried]]:
        rows = yield from self._caller.read("dump", pack((after or b"", limit)), moving=MOVING)
        return [_carried(*row) for row in rows]

    def carry_in(self, mark: Seal, items: Sequence[Carried]) -> Op[None]:
        gated = any(each.snapshot.call.gates or each.snapshot.call.flow for each in items)
        fields = pack([_item(each) for each in items])
        yield from self._caller.call("move_in", fields, moving=under(mark), durable=True, gated=gated)

    def data_out(self, after: bytes | None, limit: int) -> Op[list[CarriedData]]:
        if after is None or self._data_ages is None:
            self._data_ages = yield from self._read_ages()
        left = [each for each in self._data_ages if after is None or each[0] > after]
        found: list[CarriedData] = []
        while left and not found:
            page, left = left[:limit], left[limit:]
            bodies = yield from self._caller.command("MGET", *(self._caller.key(b"b" + key) for key, _ in page))
            # A key that somebody took away from the server leaves its entry behind.
            found = [
                CarriedData(key=key, data=body, written_at_us=age)
                for (key, age), body in zip(page, bodies, strict=True)
                if body is not None
            ]
        return found

    def _read_ages(self) -> Op[list[tuple[bytes, int]]]:
        known = yield from self._caller.command("ZRANGE", self._caller.key(b"data"), 0, -1, "WITHSCORES")
        pairs = zip(known[::2], known[1::2], strict=True) if known and not isinstance(known[0], list) else known
        return sorted((key, int(float(score))) for key, score in pairs)

    def data_in(self, mark: Seal, items: Sequence[CarriedData]) -> Op[None]:
        given = [(item.key, item.data, item.written_at_us) for item in items]
        yield from self._caller.call("move_data_in", pack(given), moving=under(mark), durable=True)

    def clear(self, mark: Seal) -> Op[None]:
        while (yield from self._caller.call("purge_all", _CHUNK, moving=under(mark)))[1]:
            pass
        yield from self._caller.call("move_clear", moving=under(mark))


def _carried(invocation_id: bytes, known: list[Any], edges: list[bytes], terms: Any, units: list[Any]) -> Carried:
    snapshot = snapshot_of(InvocationId(invocation_id), known)
    if snapshot is None:
        raise StoreCorrupted(
            f"the record of invocation {id_text(InvocationId(invocation_id))} is damaged: run `pynenc doctor --repair`"
        )
    _, live, final, *_ = known
    policy = AfterPolicy.ALL_SUCCEEDED
    if live is not False:
        fields = control_fields(live)
        band, retention, max_crashes = fields[3] >> _BAND_BITS, fields[_RETENTION], fields[_MAX_CRASHES]
        key, phase = fields[KEY], fields[KEY + 1]
        policy = AfterPolicy(fields[_POLICY]) if edges else policy
    else:
        fields = unpack(final)
        band, retention, max_crashes = fields[_FINAL_BAND], fields[_FINAL_RETENTION], fields[_FINAL_MAX_CRASHES]
        key, phase = fields[_FINAL_KEY], fields[_FINAL_KEY + 1]
    # Where its token waits is not carried: the other store finds out.
    control = None if snapshot.control is None else structs.replace(snapshot.control, gate=None)
    return Carried(
        snapshot=structs.replace(snapshot, control=control),
        band=band,
        retention_us=None if retention is False else retention,
        max_crashes=max_crashes,
        after_policy=policy,
        edges=tuple(InvocationId(each) for each in edges),
        dedupe=dedupe_of(key, phase, unpack(terms) if terms else terms),
        units=tuple(unit_of(gate, unpack(unit)) for gate, unit in units),
    )


def _item(item: Carried) -> tuple[Any, ...]:
    """Return what `move_in.lua` reads of one invocation."""
    snapshot = item.snapshot
    call = snapshot.call
    return (
        call.invocation_id,
        _stored_call(call),
        call.parent_id or b"",
        False if snapshot.control is None else _control_fields(item, snapshot.control),
        False if snapshot.outcome is None else _outcome_fields(item, snapshot.outcome),
        [pack(_attempt_fields(each)) for each in snapshot.attempts],
        snapshot.progress,
        item.edges,
        _terms(item),
        [(unit.gate, pack((unit.since_us, (), unit.limit))) for unit in item.units],
    )


def _terms(item: Carried) -> bytes | bool:
    if item.dedupe is None:
        return False
    terms = terms_of(item.dedupe, item.snapshot.call.created_at_us)
    return b"" if terms is None else pack(terms)


def _stored_call(call: Call) -> bytes:
    gated = call_fields(call.gates, call.flow)
    sent = pack((call.task_id, call.queue, call.language, call.policy, call.meta, call.arguments, *gated))
    if call.parent_id is None:
        return b"\0" + sent
    return b"\1" + call.parent_id + call.root_id + sent


def _or_false(value: int | None) -> int | bool:
    return False if value is None else value


def _control_fields(item: Carried, control: Control) -> list[Any]:
    return [
        control.state.value,
        control.reason.value,
        item.snapshot.call.queue,
        control.rank,
        control.registered_at_us,
        _or_false(item.retention_us),
        item.max_crashes,
        control.epoch,
        control.attempt,
        0,
        _or_false(control.claimed_at_us),
        _or_false(control.started_at_us),
        control.worker,
        0,
        *_key_fields(item.dedupe),
        _or_false(control.not_before_us),
        _or_false(control.expires_at_us),
        control.crashes,
        control.need_left,
        _or_false(control.wait_until_us),
        control.cancel_requested,
        _or_false(control.suspended_at_us),
        item.after_policy.value,
        *_gated_fields(item.snapshot.call),
    ]


def _gated_fields(call: Call) -> tuple[Any, ...]:
    """Return the fields that follow where there are gates: no time-out, no waits, then what is kept of gates."""
    gated = call_fields(call.gates, call.flow)
    return (False, b"", (*gated, call.parent_id or b"", False, False, False)) if gated else ()


def _outcome_fields(item: Carried, outcome: Outcome) -> list[Any]:
    return [
        outcome.status.value,
        outcome.payload,
        outcome.reason,
        outcome.attempt,
        outcome.crashes,
        outcome.epoch,
        outcome.session,
        outcome.worker,
        outcome.registered_at_us,
        _or_false(outcome.claimed_at_us),
        _or_false(outcome.started_at_us),
        outcome.ended_at_us,
        _or_false(outcome.expires_at_us),
        item.band,
        _or_false(item.retention_us),
        item.max_crashes,
        *_key_fields(item.dedupe),
        item.snapshot.call.queue,
    ]


def _key_fields(dedupe: Dedupe | None) -> tuple[bytes, int]:
    return (b"", 0) if dedupe is None else (dedupe.key, dedupe.phase.value)


def _attempt_fields(attempt: Attempt) -> tuple[Any, ...]:
    started, suspended = _or_false(attempt.started_at_us), _or_false(attempt.suspended_at_us)
    place = (attempt.number, attempt.epoch, attempt.reason.value, attempt.session, attempt.worker)
    return (*place, attempt.claimed_at_us, started, attempt.ended_at_us, attempt.error, attempt.detail, suspended)
