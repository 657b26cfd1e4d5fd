"""Replies of the scripts as bytes: MessagePack, with bytes as its old raw type, which is all Redis reads.

Arrays by position; the headers of `protocol/redis/*.lua` say which. Absent instants are False, absent ids empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from pynenc.backends.redis.gates import flow_of, gate_of
from pynenc.errors import StoreCorrupted
from pynenc.model.ids import Epoch, InvocationId, SessionId, id_text
from pynenc.model.records import (
    Attempt,
    Call,
    CancelNotice,
    Claim,
    CompletionReply,
    Control,
    FinishedNotice,
    Message,
    Outcome,
    Resumed,
    Snapshot,
    Verdict,
    WatchReply,
)
from pynenc.model.status import InvocationStatus, Reason, State, live_status

_STATUSES = {status.value.encode(): status for status in InvocationStatus}
_VERDICTS = tuple(CompletionReply(verdict) for verdict in Verdict)
_LINEAGE_SIZE = 33
"""Bytes before a stored call that has a parent: a mark, the parent and the root."""


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=True, strict_map_key=False)


def _moment(value: Any) -> int | None:
    return None if value is False else value


def _id(value: bytes) -> InvocationId | None:
    return InvocationId(value) if value else None


class StoredCall:
    """A call as it is kept: parent and root if it has one, then what the client sent."""

    __slots__ = ("fields", "parent_id", "root_id")

    def __init__(self, invocation_id: InvocationId, stored: bytes) -> None:
        """Read what is kept. Raises StoreCorrupted if it is no call."""
        try:
            if stored[0] == 1:
                self.parent_id = _id(stored[1:17])
                self.root_id = InvocationId(stored[17:_LINEAGE_SIZE])
                self.fields = unpack(stored[_LINEAGE_SIZE:])
            else:
                self.parent_id, self.root_id = None, invocation_id
                self.fields = unpack(stored[1:])
            if len(self.fields) not in (6, 8) or set(map(type, self.fields[:6])) != {bytes}:
                raise ValueError("other fields")
            b"".join(self.fields[:3]).decode()
        except _DAMAGED as error:
            raise _damaged(invocation_id, error) from None


_DAMAGED = (ValueError, LookupError, TypeError, AttributeError)
"""What reading a record that somebody damaged may raise."""
_NO_CALL = b"\x00" + pack(("(damaged record)", "", "", b"", b"", b""))
"""In the place of a call that cannot be read: no task has this name, so whoever claims it gives it back."""


def _damaged(invocation_id: bytes, error: Exception) -> StoreCorrupted:
    return StoreCorrupted(
        f"the record of invocation {id_text(InvocationId(invocation_id))} is damaged ({error}): run `pynenc doctor`, "
        "restore a backup, or purge it"
    )


def outcome_in(invocation_id: bytes, stored: bytes) -> Outcome:
    """Return an outcome from its stored form. Raises StoreCorrupted if it is none."""
    try:
        return outcome_of(invocation_id, unpack(stored))
    except _DAMAGED as error:
        raise _damaged(invocation_id, error) from None


def claims_of(session: SessionId, flat: list[Any]) -> tuple[Claim, ...]:
    """Return claims from id, control record and call of each, end to end."""
    parts = iter(flat)
    return tuple([claim_of(session, *each) for each in zip(parts, parts, parts, strict=True)])


def _array_in(record: bytes) -> list[Any]:
    """Return the array of a control record; one that is gated has before it what is kept of its gates."""
    fields: list[Any] = unpack(record)
    return fields[1] if len(fields) == _GATED_PARTS else fields


_GATED_PARTS = 2


def claim_of(session: SessionId, invocation_id: bytes, record: bytes, call: bytes) -> Claim:
    """Return a claim from its id, its control record and its call."""
    try:
        stored = StoredCall(InvocationId(invocation_id), call)
    except StoreCorrupted:
        # One bad record must not keep the others of this reply from their runner.
        stored = StoredCall(InvocationId(invocation_id), _NO_CALL)
    task_id, _, _, policy, meta, arguments = stored.fields[:6]
    control = _array_in(record)
    return Claim(
        invocation_id=InvocationId(invocation_id),
        session=session,
        epoch=control[7],
        attempt=control[8],
        crashes=control[18] if len(control) > 18 else 0,
        task_id=task_id.decode(),
        arguments=arguments,
        policy=policy,
        meta=meta,
        queue=control[2].decode(),
        rank=control[3],
        parent_id=stored.parent_id,
        root_id=stored.root_id,
        cancel_requested=control[21] if len(control) > 21 else False,
    )


def outcome_of(invocation_id: bytes, fields: list[Any]) -> Outcome:
    """Return an outcome from its fields."""
    return Outcome(
        invocation_id=InvocationId(invocation_id),
        status=_STATUSES[fields[0]],
        payload=fields[1],
        reason=fields[2].decode(),
        attempt=fields[3],
        crashes=fields[4],
        epoch=fields[5],
        session=fields[6],
        worker=fields[7],
        registered_at_us=fields[8],
        claimed_at_us=_moment(fields[9]),
        started_at_us=_moment(fields[10]),
        ended_at_us=fields[11],
        expires_at_us=_moment(fields[12]),
    )


def verdicts_of(replies: Any, number: int) -> tuple[CompletionReply, ...]:
    """Return the replies to `number` completions."""
    if replies is False:
        return _VERDICTS[:1] * number
    return tuple([verdict_of(each) for each in replies])


def verdict_of(reply: Any) -> CompletionReply:
    """Return the reply to one completion."""
    if isinstance(reply, int):
        return _VERDICTS[reply]
    number, outcomes, cycle = reply
    return CompletionReply(Verdict(number), outcomes=outcomes_of(outcomes), cycle=tuple(cycle))


def outcomes_of(rows: Sequence[list[Any]]) -> tuple[Outcome, ...]:
    """Return outcomes from {id, fields}."""
    return tuple(outcome_of(invocation_id, fields) for invocation_id, fields in rows)


def watch_reply_of(flat: list[Any]) -> WatchReply:
    """Return the reply to a watch from id and stored outcome of each, end to end; one that is damaged is unknown."""
    outcomes: list[Outcome] = []
    unknown: list[InvocationId] = []
    parts = iter(flat)
    for invocation_id, stored in zip(parts, parts, strict=True):
        try:
            outcomes.append(outcome_of(invocation_id, unpack(stored)))
        except _DAMAGED:
            unknown.append(invocation_id)
    return WatchReply(outcomes=tuple(outcomes), unknown=tuple(unknown))


def resumed_of(row: list[Any]) -> Resumed:
    """Return a resumed invocation from its row."""
    return Resumed(invocation_id=InvocationId(row[0]), epoch=row[1], timed_out=row[2], outcomes=outcomes_of(row[3]))


def message_of(data: bytes) -> Message:
    """Return a message of an inbox."""
    fields = unpack(data)
    if fields[0] == 0:
        return CancelNotice(invocation_id=fields[1], epoch=fields[2], detail=fields[3].decode())
    return FinishedNotice(outcome=outcome_of(fields[1], unpack(fields[2])))


def call_of(invocation_id: InvocationId, data: bytes, created_at_us: int) -> Call:
    """Return a call from its stored form."""
    stored = StoredCall(invocation_id, data)
    task_id, queue, language, policy, meta, arguments, *gated = stored.fields
    return Call(
        invocation_id=invocation_id,
        task_id=task_id.decode(),
        queue=queue.decode(),
        language=language.decode(),
        arguments=arguments,
        policy=policy,
        meta=meta,
        parent_id=stored.parent_id,
        root_id=stored.root_id,
        created_at_us=created_at_us,
        gates=tuple(gate_of(each) for each in gated[0]) if gated else (),
        flow=flow_of(gated[1]) if gated else None,
    )


_FRESH = (0, 0, 0, False, False, 0, 0, b"", 0, False, False, 0, 0, False, False, False, 0, False, b"")
"""What a stored control record leaves out at its end, from its eighth field on: `FRESH` in `constants.lua`."""
KEY = 14
"""Place of the deduplication key in a control record; in an outcome it is `FINAL_KEY`."""
FINAL_KEY = 16


def control_fields(data: bytes) -> list[Any]:
    """Return the fields of a stored control record, but for what is kept of its gates."""
    fields = _array_in(data)
    return [*fields, *_FRESH[len(fields) - 7 :]]


def control_of(data: bytes, gate: bytes = b"") -> Control:
    """Return a control record from its stored form and the gate before which its lane is parked."""
    fields = control_fields(data)
    return Control(
        state=State(fields[0]),
        reason=Reason(fields[1]),
        rank=fields[3],
        registered_at_us=fields[4],
        epoch=fields[7],
        attempt=fields[8],
        owner=SessionId(fields[9]) if fields[9] else None,
        claimed_at_us=_moment(fields[10]),
        started_at_us=_moment(fields[11]),
        worker=fields[12],
        not_before_us=_moment(fields[16]),
        expires_at_us=_moment(fields[17]),
        crashes=fields[18],
        need_left=fields[19],
        wait_until_us=_moment(fields[20]),
        cancel_requested=fields[21],
        suspended_at_us=_moment(fields[22]),
        gate=gate.decode() if gate else None,
    )


def attempt_of(data: bytes) -> Attempt:
    """Return an attempt from its stored form."""
    fields = unpack(data)
    return Attempt(
        number=fields[0],
        epoch=Epoch(fields[1]),
        reason=Reason(fields[2]),
        session=SessionId(fields[3]),
        worker=fields[4],
        claimed_at_us=fields[5],
        started_at_us=_moment(fields[6]),
        ended_at_us=fields[7],
        error=fields[8],
        detail=fields[9].decode(),
        suspended_at_us=_moment(fields[10]),
    )


def snapshot_of(invocation_id: InvocationId, row: list[Any]) -> Snapshot | None:
    """Return all that is known of one invocation, None if that is nothing."""
    stored, live, final, attempts, progress, gate = row
    if not stored or (live is False and final is False):
        return None
    control = None if live is False else control_of(live, gate)
    outcome = None if final is False else outcome_in(invocation_id, final)
    known = control or outcome
    assert known is not None
    return Snapshot(
        call=call_of(invocation_id, stored, known.registered_at_us),
        control=control,
        outcome=outcome,
        attempts=tuple(attempt_of(each) for each in attempts),
        progress=progress,
    )


def status_of(standing: Any) -> InvocationStatus | None:
    """Return the public status from where an invocation stands."""
    if standing is False:
        return None
    if isinstance(standing, bytes):
        return InvocationStatus(standing.decode())
    state, reason, started, parked = standing
    return live_status(State(state), Reason(reason), started=started, parked=parked)
