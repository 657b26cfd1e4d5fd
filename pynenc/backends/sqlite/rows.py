"""Rows of the tables and what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from msgspec import Struct

from pynenc.backends.sqlite.gate_rows import decode_gates
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import AfterPolicy, Attempt, Call, Control, Outcome
from pynenc.model.status import InvocationStatus, Reason, State

BLOCKED, READY, OWNED, SUSPENDED = int(State.BLOCKED), int(State.READY), int(State.OWNED), int(State.SUSPENDED)

# Bits of live.flags, see the schema.
AWAITED, WATCHED, KEYED, ANY_ENDING, WAIT_TIMED_OUT, GATED, GATED_CHILD = 1, 2, 4, 8, 16, 32, 64
FAILS_ALONG = 128
_POLICY_FLAGS = {
    AfterPolicy.ALL_SUCCEEDED: 0,
    AfterPolicy.ALL_DONE: ANY_ENDING,
    AfterPolicy.SUCCEEDED_OR_FAIL: FAILS_ALONG,
}


def policy_flags(policy: AfterPolicy) -> int:
    """Return the bits of live.flags that stand for a policy."""
    return _POLICY_FLAGS.get(policy, 0)


def policy_of(flags: int) -> AfterPolicy:
    """Return the policy that bits of live.flags stand for."""
    if flags & ANY_ENDING:
        return AfterPolicy.ALL_DONE
    return AfterPolicy.SUCCEEDED_OR_FAIL if flags & FAILS_ALONG else AfterPolicy.ALL_SUCCEEDED


STATUS_CODES = {
    InvocationStatus.SUCCESS: 1,
    InvocationStatus.FAILED: 2,
    InvocationStatus.CANCELLED: 3,
    InvocationStatus.EXPIRED: 4,
    InvocationStatus.CONCURRENCY_CONTROLLED_FINAL: 5,
}
STATUSES = {code: status for status, code in STATUS_CODES.items()}
_STATES = tuple(State)
_REASONS = tuple(Reason)


def gate_flags(gates: bytes | None, parent: bytes | None) -> int:
    """Return the flags of an invocation with this column of `call`, which has this parent."""
    if gates is None:
        return 0
    return GATED if parent is None else GATED | GATED_CHILD


LIVE_COLUMNS = (
    "id, state, reason, queue, rank, epoch, attempt, crashes, owner, worker, need_left, not_before, expires_at, "
    "wait_until, cancel_requested, registered_at, claimed_at, started_at, suspended_at, retention, max_crashes, due, "
    "flags, lane"
)
OUTCOME_COLUMNS = (
    "id, status, payload, reason, attempt, crashes, epoch, session, worker, registered_at, claimed_at, started_at, "
    "ended_at, expires_at"
)
CALL_COLUMNS = "id, task_id, queue, language, arguments, policy, meta, parent, root, created_at, gates"
ATTEMPT_COLUMNS = (
    "number, epoch, reason, session, worker, claimed_at, started_at, ended_at, error, detail, suspended_at"
)


class Live(Struct):
    """A row of `live` while a unit works on it."""

    id: InvocationId
    state: int
    reason: int
    queue: int
    rank: int
    epoch: int
    attempt: int
    crashes: int
    owner: int | None
    worker: int
    need_left: int
    not_before: int | None
    expires_at: int | None
    wait_until: int | None
    cancel_requested: int
    registered_at: int
    claimed_at: int | None
    started_at: int | None
    suspended_at: int | None
    retention: int | None
    max_crashes: int
    due: int | None
    flags: int
    lane: int | None

    def compute_due(self) -> int | None:
        """Return when a timer has to look at it next."""
        if self.state == SUSPENDED:
            return self.wait_until
        if self.state == OWNED or (self.state == READY and self.owner is not None):
            return None
        due = self.expires_at
        if self.state == BLOCKED and self.need_left == 0 and self.not_before is not None:
            due = self.not_before if due is None else min(due, self.not_before)
        return due


def control_of(live: Live, gate: str | None) -> Control:
    """Return the record that people and tests see.

    Args:
        gate: before which it, or its lane, is parked.
    """
    return Control(
        state=_STATES[live.state],
        reason=_REASONS[live.reason],
        rank=live.rank,
        epoch=Epoch(live.epoch),
        attempt=live.attempt,
        crashes=live.crashes,
        owner=None if live.owner is None else SessionId(live.owner),
        worker=live.worker,
        need_left=live.need_left,
        not_before_us=live.not_before,
        expires_at_us=live.expires_at,
        wait_until_us=live.wait_until,
        cancel_requested=bool(live.cancel_requested),
        registered_at_us=live.registered_at,
        claimed_at_us=live.claimed_at,
        started_at_us=live.started_at,
        suspended_at_us=live.suspended_at,
        gate=gate,
    )


def outcome_of(row: tuple[Any, ...]) -> Outcome:
    """Return the outcome in a row of `OUTCOME_COLUMNS`."""
    return Outcome(
        invocation_id=row[0],
        status=STATUSES[row[1]],
        payload=row[2],
        reason=row[3],
        attempt=row[4],
        crashes=row[5],
        epoch=row[6],
        session=row[7],
        worker=row[8],
        registered_at_us=row[9],
        claimed_at_us=row[10],
        started_at_us=row[11],
        ended_at_us=row[12],
        expires_at_us=row[13],
    )


def attempt_of(row: tuple[Any, ...]) -> Attempt:
    """Return the attempt in a row of `ATTEMPT_COLUMNS`."""
    return Attempt(
        number=row[0],
        epoch=row[1],
        reason=_REASONS[row[2]],
        session=row[3],
        worker=row[4],
        claimed_at_us=row[5],
        started_at_us=row[6],
        ended_at_us=row[7],
        error=row[8],
        detail=row[9],
        suspended_at_us=row[10],
    )


def call_of(row: tuple[Any, ...], queue: str) -> Call:
    """Return the call in a row of `CALL_COLUMNS`; `queue` is the name of its queue."""
    gates, flow = decode_gates(row[10])
    return Call(
        invocation_id=row[0],
        task_id=row[1],
        queue=queue,
        language=row[3],
        arguments=row[4],
        policy=row[5],
        meta=row[6],
        parent_id=row[7],
        root_id=row[8],
        created_at_us=row[9],
        gates=gates,
        flow=flow,
    )


def split_ids(joined: bytes) -> tuple[InvocationId, ...]:
    """Return ids that are kept one after the other."""
    return tuple([InvocationId(joined[start : start + 16]) for start in range(0, len(joined), 16)]) if joined else ()


_CHUNKS = (1, 8, 32, 64, 128, 256)
"""Sizes of lists in statements: few, so that prepared statements are found again."""


@cache
def _with_marks(statement: str, size: int) -> str:
    return statement.replace("(*)", f"({','.join('?' * size)})")


@cache
def _with_pairs(statement: str, size: int) -> str:
    return statement.replace("(*)", ",".join(["(?,?)"] * size))


def select_in(connection: Any, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
    """Run `statement`, in which `(*)` stands for the list of `values`, however many there are."""
    rows: list[tuple[Any, ...]] = []
    for part in _parts(values):
        rows += connection.execute(_with_marks(statement, len(part)), part).fetchall()
    return rows


def select_in_pairs(connection: Any, statement: str, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, ...]]:
    """Run `statement`, in which `(*)`, after VALUES, stands for the list of `pairs`, however many there are."""
    rows: list[tuple[Any, ...]] = []
    for part in _parts(pairs):
        values = [value for pair in part for value in pair]
        rows += connection.execute(_with_pairs(statement, len(part)), values).fetchall()
    return rows


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    """Split a list into parts of sizes that occur again, the last one filled up."""
    largest = _CHUNKS[-1]
    for start in range(0, len(values), largest):
        part = values[start : start + largest]
        size = next(size for size in _CHUNKS if size >= len(part))
        # Repeating a value in a list changes nothing.
        yield part + part[-1:] * (size - len(part))
