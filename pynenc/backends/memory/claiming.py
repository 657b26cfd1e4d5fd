"""Claims: who gets the next invocation."""

from __future__ import annotations

from collections.abc import Iterable

from pynenc.backends.memory.ending import end, free_key, write_attempt
from pynenc.backends.memory.state import MemoryState, Record, Session, claim_of, serves
from pynenc.model.gates import Gate, GateMode, keep_order
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Claim, ClaimIdReply, ClaimIdVerdict, DedupePhase, Exchange, Resumed
from pynenc.model.status import InvocationStatus, Reason, State

MOST_LOOKS = 256
"""So many closed gates a claim meets before it leaves the rest to the next one."""


def claim_resumable(state: MemoryState, session: Session, want: int, now_us: int) -> list[Resumed]:
    """Let up to `want` suspended invocations of the session go on."""
    resumed: list[Resumed] = []
    while len(resumed) < want:
        entry = state.first_resumable(session.number)
        if entry is None:
            break
        record = state.records[entry[1]]
        if not record.gated or state.gating.may_go_on(record, now_us):
            resumed.append(_go_on(state, record, now_us))
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


def claim_new(
    state: MemoryState, session: Session, request: Exchange, want: int, now_us: int
) -> tuple[list[Claim], int]:
    """Hand up to `want` READY invocations of the requested queues to the session, by (rank, id).

    Returns:
        The claims, and how many closed gates it met.
    """
    claims: list[Claim] = []
    looked = 0
    queues = [queue for queue in _queues(state, request.queues) if queue not in state.paused]
    passed_over: set[InvocationId] = set()
    while len(claims) < want and looked < MOST_LOOKS:
        found = _first_awaited(state, queues, passed_over) if request.awaited else _first(state, queues)
        if found is None or (request.before is not None and found.rank >= request.before):
            break
        record = _in_turn(state, found)
        if _expired(state, record, now_us):
            continue
        if (gate := _closed(state, record, now_us)) is None:
            claims.append(_take(state, session, record, now_us))
            continue
        looked += 1
        if gate.mode is GateMode.REJECT:
            _reject(state, record, gate, now_us)
        elif request.awaited:
            passed_over.add(found.id)
        else:
            state.gating.park(record, gate, now_us)
    if claims and len(claims) == want and not request.awaited:
        _wake_another(state, queues, now_us)
    return claims, looked


def _wake_another(state: MemoryState, queues: Iterable[str], now_us: int) -> None:
    """Wake one more session if a lane has more to claim: its token woke only the one that claims now."""
    record = _first(state, queues)
    if record is not None and record.gated and state.gating.closed(record, now_us) is None:
        state.wake_for(record.call.queue)


def _first(state: MemoryState, queues: Iterable[str]) -> Record | None:
    head = min((head for queue in queues if (head := state.first_ready(queue)) is not None), default=None)
    return None if head is None else state.records[head[1]]


def _first_awaited(state: MemoryState, queues: Iterable[str], passed_over: set[InvocationId]) -> Record | None:
    served = set(queues)
    ready = (
        record
        for record in state.records.values()
        if record.state is State.READY
        and record.owner is None
        and record.call.queue in served
        and (record.call.parent_id is not None or record.id in state.waiters)
        and record.id not in passed_over
    )
    return min(ready, key=lambda record: (record.rank, record.id), default=None)


def _in_turn(state: MemoryState, record: Record) -> Record:
    """Return who has to go first for this one to come: with an ordering key the first of its lane."""
    if record.lane is None or not keep_order(record.call.gates):
        return record
    first = record.lane.members.first()
    assert first is not None
    return state.records[first]


def _closed(state: MemoryState, record: Record, now_us: int) -> Gate | None:
    return state.gating.closed(record, now_us) if record.gated else None


def _reject(state: MemoryState, record: Record, gate: Gate, now_us: int) -> None:
    end(state, record, InvocationStatus.CONCURRENCY_CONTROLLED_FINAL, now_us, reason=f"{gate.name} was closed")


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
    if _in_turn(state, record) is not record:
        return ClaimIdReply(ClaimIdVerdict.BUSY)
    if (gate := _closed(state, record, now_us)) is not None:
        if gate.mode is GateMode.PARK:
            return ClaimIdReply(ClaimIdVerdict.BUSY)
        _reject(state, record, gate, now_us)
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
    if record.gated:
        state.gating.start(record, now_us)
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
