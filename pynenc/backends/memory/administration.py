"""What people do to queues and to work that has ended."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.memory.state import MemoryState, Record, is_gated, serves
from pynenc.backends.memory.ticking import forget
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT
from pynenc.model.records import Attempt
from pynenc.model.status import InvocationStatus, Reason


def resume_queue(state: MemoryState, queue: str) -> None:
    """Let a paused queue be claimed from again, and wake those who would."""
    if state.paused.pop(queue, None) is None:
        return
    for session in state.sessions.values():
        if session.idle and serves(session.idle_queues, queue):
            session.idle = False
            state.ring(session.number)


def requeue(state: MemoryState, ids: Sequence[InvocationId], now_us: int) -> list[InvocationId]:
    """Put final invocations back to READY; return those that were."""
    final = [each for each in dict.fromkeys(ids) if each in state.outcomes]
    for invocation_id in final:
        _put_back(state, invocation_id, now_us)
    return final


def _put_back(state: MemoryState, invocation_id: InvocationId, now_us: int) -> None:
    outcome, kept = state.drop_outcome(invocation_id)
    failed = outcome.status is InvocationStatus.FAILED
    state.attempts.setdefault(invocation_id, []).append(
        Attempt(
            number=outcome.attempt,
            epoch=outcome.epoch,
            reason=Reason.REQUEUED,
            session=outcome.session,
            worker=outcome.worker,
            claimed_at_us=outcome.claimed_at_us if outcome.claimed_at_us is not None else outcome.registered_at_us,
            started_at_us=outcome.started_at_us,
            ended_at_us=outcome.ended_at_us,
            error=outcome.payload if failed else b"",
            detail=outcome.status.value,
        )
    )
    record = Record(
        call=state.calls[invocation_id],
        rank=kept.band * BAND_UNIT + state.take_sequence(),
        registered_at_us=outcome.registered_at_us,
        retention_us=kept.retention_us,
        max_crashes=kept.max_crashes,
        reason=Reason.REQUEUED,
        epoch=outcome.epoch,
        dedupe=kept.dedupe,
        gated=is_gated(state.calls[invocation_id]),
    )
    state.records[invocation_id] = record
    state.index(record, now_us)


def purge(state: MemoryState, ids: Sequence[InvocationId] | None) -> int:
    """Forget these final invocations, or every invocation of the app."""
    if ids is None:
        return _purge_everything(state)
    final = [each for each in dict.fromkeys(ids) if each in state.outcomes]
    for invocation_id in final:
        forget(state, invocation_id)
    return len(final)


def _purge_everything(state: MemoryState) -> int:
    number = len(state.calls)
    for kept in (
        state.calls,
        state.records,
        state.outcomes,
        state.kept,
        state.attempts,
        state.progress,
        state.children,
        state.dedupe,
        state.watchers,
        state.waiters,
        state.blobs,
    ):
        kept.clear()
    state.dead = {None: []}
    for index in (*state.ready.values(), *state.resumable.values(), state.due, state.retention):
        index.clear()
    state.gating.clear()
    for session in state.sessions.values():
        session.owned.clear()
        session.watched.clear()
        session.inbox.clear()
    return number
