"""Claims: who gets the next invocation."""

from __future__ import annotations

from collections.abc import Iterable

from pynenc.backends.memory.ending import end, free_key, write_attempt
from pynenc.backends.memory.state import MemoryState, Record, Session, claim_of, serves
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Claim, ClaimIdReply, ClaimIdVerdict, DedupePhase, Exchange, Resumed
from pynenc.model.status import InvocationStatus, Reason, State


def claim_resumable(state: MemoryState, session: Session, want: int, now_us: int) -> list[Resumed]:
    """Let up to `want` suspended invocations of the session go on."""
    resumed: list[Resumed] = []
    while len(resumed) < want:
        entry = state.first_resumable(session.number)
        if entry is None:
            break
        resumed.append(_go_on(state, state.records[entry[1]], now_us))
    return resumed


def _go_on(state: MemoryState, record: Record, now_us: int) -> Resumed:
    write_attempt(state, record, Reason.WAITED, now_us)
    record.state = State.OWNED
    record.suspended_at_us = None
    outcomes = tuple(state.outcomes[waited] for waited in dict.fromkeys(record.waits) if waited in state.outcomes)
    resumed = Resumed(invocation_id=record.id, epoch=record.epoch, timed_out=record.timed_out, outcomes=outcomes)
    record.waits = ()
    record.timed_out = False
    return resumed


def claim_new(state: MemoryState, session: Session, request: Exchange, want: int, now_us: int) -> list[Claim]:
    """Hand up to `want` READY invocations of the requested queues to the session, by (rank, id)."""
    claims: list[Claim] = []
    queues = [queue for queue in _queues(state, request.queues) if queue not in state.paused]
    first = _first_awaited if request.awaited else _first
    while len(claims) < want:
        head = first(state, queues)
        if head is None or (request.before is not None and head[0] >= request.before):
            break
        record = state.records[head[1]]
        if _expired(state, record, now_us):
            continue
        claims.append(_take(state, session, record, now_us))
    return claims


def _first(state: MemoryState, queues: Iterable[str]) -> tuple[int, InvocationId] | None:
    return min((head for queue in queues if (head := state.first_ready(queue)) is not None), default=None)


def _first_awaited(state: MemoryState, queues: Iterable[str]) -> tuple[int, InvocationId] | None:
    served = set(queues)
    ready = (
        (record.rank, record.id)
        for record in state.records.values()
        if record.state is State.READY
        and record.owner is None
        and record.call.queue in served
        and (record.call.parent_id is not None or record.id in state.waiters)
    )
    return min(ready, default=None)


def claim_by_id(
    state: MemoryState,
    session: Session,
    ids: Iterable[InvocationId],
    queues: tuple[str, ...],
    most: int | None,
    now_us: int,
) -> list[ClaimIdReply]:
    """Claim up to `most` of these very invocations where they are READY without an owner, in one of the queues."""
    replies: list[ClaimIdReply] = []
    claimed = 0
    for invocation_id in ids:
        if most is not None and claimed >= most:
            break
        replies.append(_claim_one(state, session, invocation_id, queues, now_us))
        claimed += replies[-1].verdict is ClaimIdVerdict.CLAIMED
    return replies


def _claim_one(
    state: MemoryState, session: Session, invocation_id: InvocationId, queues: tuple[str, ...], now_us: int
) -> ClaimIdReply:
    record = state.records.get(invocation_id)
    if record is None:
        known = invocation_id in state.outcomes
        return ClaimIdReply(ClaimIdVerdict.FINAL if known else ClaimIdVerdict.UNKNOWN)
    if record.owner is not None:
        return ClaimIdReply(ClaimIdVerdict.BUSY)
    queue = record.call.queue
    if record.state is not State.READY or queue in state.paused or not serves(queues, queue):
        return ClaimIdReply(ClaimIdVerdict.NOT_READY)
    if _expired(state, record, now_us):
        return ClaimIdReply(ClaimIdVerdict.FINAL)
    return ClaimIdReply(ClaimIdVerdict.CLAIMED, _take(state, session, record, now_us))


def _queues(state: MemoryState, wanted: tuple[str, ...]) -> list[str]:
    return [queue for queue in state.queues if serves(wanted, queue)]


def _expired(state: MemoryState, record: Record, now_us: int) -> bool:
    if record.expires_at_us is None or record.expires_at_us > now_us:
        return False
    expire(state, record, now_us)
    return True


def expire(state: MemoryState, record: Record, now_us: int) -> None:
    """End an invocation that did not start in time."""
    end(state, record, InvocationStatus.EXPIRED, now_us, reason="it did not start in time")


def _take(state: MemoryState, session: Session, record: Record, now_us: int) -> Claim:
    record.state = State.OWNED
    record.epoch = Epoch(record.epoch + 1)
    record.attempt += 1
    record.owner = session.number
    record.worker = 0
    record.claimed_at_us = now_us
    record.started_at_us = None
    session.owned.add(record.id)
    if record.dedupe is not None and record.dedupe.phase is DedupePhase.UNTIL_CLAIMED:
        free_key(state, record)
    return claim_of(record, session.number)
