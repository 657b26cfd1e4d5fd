"""How invocations end, and whom that wakes."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from pynenc.backends.memory.state import Kept, MemoryState, Record
from pynenc.model.dependencies import counts, fallen_status, why_broken
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import Attempt, CancelNotice, DedupePhase, FinishedNotice, Outcome
from pynenc.model.status import InvocationStatus, Reason, State

NO_SESSION = SessionId(0)
"""Who completed what the store itself ended."""

_Ending: TypeAlias = tuple[Record, InvocationStatus, bytes, str, SessionId, int]


def end(
    state: MemoryState,
    record: Record,
    status: InvocationStatus,
    now_us: int,
    *,
    payload: bytes = b"",
    reason: str = "",
    session: SessionId = NO_SESSION,
    worker: int | None = None,
) -> None:
    """Write the outcome of `record` and wake whoever waited for it; in turn end what depended on its success."""
    queue: deque[_Ending] = deque(
        [(record, status, payload, reason, session, record.worker if worker is None else worker)]
    )
    while queue:
        ended = queue.popleft()
        _write_outcome(state, ended, now_us)
        for waiter in _release_waiters(state, ended[0].id, ended[1], now_us):
            why = why_broken(ended[0].id, ended[1])
            queue.append((waiter, fallen_status(waiter.after_policy), b"", why, NO_SESSION, waiter.worker))


def _write_outcome(state: MemoryState, ending: _Ending, now_us: int) -> None:
    record, status, payload, reason, session, worker = ending
    expires = None if record.retention_us is None else now_us + record.retention_us
    outcome = Outcome(
        invocation_id=record.id,
        status=status,
        payload=payload,
        reason=reason,
        attempt=record.attempt,
        crashes=record.crashes,
        epoch=record.epoch,
        session=session,
        worker=worker,
        registered_at_us=record.registered_at_us,
        claimed_at_us=record.claimed_at_us,
        started_at_us=record.started_at_us,
        ended_at_us=now_us,
        expires_at_us=expires,
    )
    state.keep_outcome(outcome, Kept(record.band, record.retention_us, record.max_crashes, record.dedupe))
    drop_edges(state, record)
    if record.gated:
        state.gating.withdraw(record, now_us)
    disown(state, record)
    del state.records[record.id]
    if record.gated:
        state.gating.give_up(record, now_us)
    _free_key(state, record, status)
    for number in sorted(state.watchers.pop(record.id, ())):
        watcher = state.sessions[number]
        watcher.watched.discard(record.id)
        watcher.inbox.append(FinishedNotice(outcome=outcome))
        state.ring(number)


def _free_key(state: MemoryState, record: Record, status: InvocationStatus) -> None:
    dedupe = record.dedupe
    if dedupe is None:
        return
    # One that ends without ever being claimed must not hold its key for ever.
    until_end = dedupe.phase in (DedupePhase.UNTIL_CLAIMED, DedupePhase.UNTIL_FINAL)
    if until_end or (dedupe.phase is DedupePhase.WHILE_GOOD and status is not InvocationStatus.SUCCESS):
        free_key(state, record)


def free_key(state: MemoryState, record: Record) -> None:
    """Let others take the key that `record` holds."""
    if record.dedupe is not None and state.dedupe.get(record.dedupe.key) == record.id:
        del state.dedupe[record.dedupe.key]


def _release_waiters(state: MemoryState, ended: InvocationId, status: InvocationStatus, now_us: int) -> list[Record]:
    """Take the edges to an ended invocation away; return the waiters that end with it, by id."""
    fallen: list[Record] = []
    for waiter_id in sorted(state.waiters.pop(ended, ())):
        waiter = state.records[waiter_id]
        waiter.edges.discard(ended)
        if waiter.state is State.BLOCKED and not counts(waiter.after_policy, status):
            if waiter.need_left > len(waiter.edges):
                drop_edges(state, waiter)
                fallen.append(waiter)
            continue
        waiter.need_left -= 1
        if waiter.need_left == 0:
            _met(state, waiter, now_us)
    return fallen


def _met(state: MemoryState, waiter: Record, now_us: int) -> None:
    """What `waiter` waited for is there."""
    drop_edges(state, waiter)
    if waiter.state is State.SUSPENDED:
        resume(state, waiter, now_us, timed_out=False)
    elif waiter.not_before_us is not None:
        waiter.reason = Reason.DELAYED
        state.index(waiter, now_us)
    else:
        waiter.state = State.READY
        waiter.reason = Reason.NEW
        state.index(waiter, now_us)


def resume(state: MemoryState, waiter: Record, now_us: int, *, timed_out: bool) -> None:
    """Hand a suspended invocation back to its owner, which goes on when it has a slot."""
    drop_edges(state, waiter)
    waiter.need_left = 0
    waiter.wait_until_us = None
    waiter.timed_out = timed_out
    waiter.state = State.READY
    waiter.reason = Reason.RESUMED
    state.index(waiter, now_us)


def drop_edges(state: MemoryState, waiter: Record) -> None:
    """Forget what `waiter` waits for."""
    for waited in waiter.edges:
        others = state.waiters.get(waited)
        if others is not None:
            others.discard(waiter.id)
            if not others:
                del state.waiters[waited]
    waiter.edges.clear()


def disown(state: MemoryState, record: Record) -> None:
    """Take a record from its owner."""
    if record.owner is not None:
        state.sessions[record.owner].owned.discard(record.id)
        record.owner = None


def write_attempt(
    state: MemoryState, record: Record, reason: Reason, now_us: int, *, error: bytes = b"", detail: str = ""
) -> None:
    """Record a stretch of `record`'s life that did not end in an outcome."""
    state.attempts.setdefault(record.id, []).append(
        Attempt(
            number=record.attempt,
            epoch=record.epoch,
            reason=reason,
            session=record.owner or NO_SESSION,
            worker=record.worker,
            claimed_at_us=record.claimed_at_us if record.claimed_at_us is not None else record.registered_at_us,
            started_at_us=record.started_at_us,
            ended_at_us=now_us,
            error=error,
            detail=detail,
            suspended_at_us=record.suspended_at_us if reason is Reason.WAITED else None,
        )
    )


def note_run(record: Record, ran_us: int, worker: int, now_us: int) -> None:
    """Note when and where a body began that its owner reports on now; what was reported before stays."""
    if record.started_at_us is None and ran_us > 0:
        record.started_at_us = max(record.claimed_at_us or now_us, now_us - ran_us)
    if worker:
        record.worker = worker


def put_back(state: MemoryState, record: Record, reason: Reason, now_us: int, *, delay_us: int = 0) -> None:
    """Make an invocation that lost its owner claimable again, now or after `delay_us`."""
    drop_edges(state, record)
    if record.gated:
        state.gating.withdraw(record, now_us)
    disown(state, record)
    record.need_left = 0
    record.waits = ()
    record.worker = 0
    record.claimed_at_us = record.started_at_us = record.suspended_at_us = record.wait_until_us = None
    record.reason = reason
    if delay_us > 0:
        record.state = State.BLOCKED
        record.not_before_us = now_us + delay_us
    else:
        record.state = State.READY
        record.not_before_us = None
    state.index(record, now_us)
    # In its lane first: if it comes before the others, it is also the first that is let out.
    if record.gated:
        state.gating.give_up(record, now_us, keep_blocking=delay_us > 0)


def notify_cancel(state: MemoryState, record: Record, detail: str) -> None:
    """Tell the owner of `record` to stop its run."""
    if record.owner is not None:
        notice = CancelNotice(invocation_id=record.id, epoch=record.epoch, detail=detail)
        state.sessions[record.owner].inbox.append(notice)
        state.ring(record.owner)
