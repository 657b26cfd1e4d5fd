"""What owners report of their runs: begins, ends, waits, progress."""

from __future__ import annotations

from pynenc.backends.memory.ending import drop_edges, end, note_run, put_back, write_attempt
from pynenc.backends.memory.state import MemoryState, Record, Session
from pynenc.backends.memory.waiting import suspend
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import (
    Cancelled,
    Completion,
    CompletionReply,
    Crash,
    Failure,
    ProgressNote,
    Release,
    Retry,
    Started,
    Success,
    Suspend,
    Verdict,
)
from pynenc.model.status import InvocationStatus, Reason, State

ACCEPTED = CompletionReply(Verdict.ACCEPTED)


def settle(state: MemoryState, session: Session, done: Completion, now_us: int) -> CompletionReply:
    """Apply one completion if its sender still owns the invocation."""
    record = owned_record(state, session, done.invocation_id, done.epoch)
    if isinstance(done, Suspend):
        return suspend(state, session, record, done, now_us)
    if record is None or record.state is not State.OWNED:
        return CompletionReply(_not_owned(state, session, done))
    note_run(record, done.ran_us, done.worker, now_us)
    if record.gated and isinstance(done, Success | Failure | Retry | Crash):
        state.gating.report(record, failed=not isinstance(done, Success), now_us=now_us)
    _apply(state, session, record, done, now_us)
    return ACCEPTED


def owned_record(state: MemoryState, session: Session, invocation_id: InvocationId, epoch: Epoch) -> Record | None:
    """Return the record that (session, epoch) owns, in whatever state; None if it was superseded."""
    record = state.records.get(invocation_id)
    if record is None or record.owner != session.number or record.epoch != epoch:
        return None
    return record


def _not_owned(state: MemoryState, session: Session, done: Completion) -> Verdict:
    outcome = state.outcomes.get(done.invocation_id)
    repeated = outcome is not None and outcome.session == session.number and outcome.epoch == done.epoch
    return Verdict.ALREADY if repeated else Verdict.STALE


def _apply(state: MemoryState, session: Session, record: Record, done: Completion, now_us: int) -> None:
    match done:
        case Success():
            end(state, record, InvocationStatus.SUCCESS, now_us, payload=done.result, session=session.number)
        case Failure():
            end(
                state,
                record,
                InvocationStatus.FAILED,
                now_us,
                payload=done.error,
                reason=done.reason,
                session=session.number,
            )
        case Cancelled():
            end(state, record, InvocationStatus.CANCELLED, now_us, reason=done.detail, session=session.number)
        case Retry():
            write_attempt(state, record, done.reason, now_us, error=done.error)
            record.expires_at_us = None
            give_back(state, record, done.reason, now_us, delay_us=done.delay_us)
        case Release():
            write_attempt(state, record, Reason.RELEASED, now_us, detail=done.detail)
            record.attempt -= 1
            give_back(state, record, Reason.RELEASED, now_us, delay_us=done.delay_us)
        case Crash():
            crash(state, record, Reason.WORKER_CRASHED, now_us, done.detail)
        case Suspend():
            raise AssertionError("suspensions are settled apart")


def crash(state: MemoryState, record: Record, reason: Reason, now_us: int, detail: str) -> None:
    """Take a run that died with its worker into account, and run it again or give up."""
    write_attempt(state, record, reason, now_us, detail=detail)
    record.attempt -= 1
    record.crashes += 1
    record.expires_at_us = None
    if record.crashes > record.max_crashes and not record.cancel_requested:
        why = f"worker died {record.crashes} times, last: {detail}"
        drop_edges(state, record)
        end(state, record, InvocationStatus.FAILED, now_us, reason=why)
    else:
        give_back(state, record, reason, now_us)


def give_back(state: MemoryState, record: Record, reason: Reason, now_us: int, *, delay_us: int = 0) -> None:
    """Make it claimable again, or end it if somebody asked for that meanwhile."""
    if record.cancel_requested:
        end(state, record, InvocationStatus.CANCELLED, now_us, reason="cancelled while running")
    else:
        put_back(state, record, reason, now_us, delay_us=delay_us)


def note_started(state: MemoryState, session: Session, started: Started, now_us: int) -> None:
    """Note when and where a body began; a stale report changes nothing."""
    record = owned_record(state, session, started.invocation_id, started.epoch)
    if record is None or record.state is not State.OWNED or record.started_at_us is not None:
        return
    record.started_at_us = max(record.claimed_at_us or now_us, now_us - started.ago_us)
    record.worker = started.worker
    record.expires_at_us = None


def note_progress(state: MemoryState, session: Session, note: ProgressNote) -> None:
    """Keep the latest progress note of an owned invocation; a stale one changes nothing."""
    if owned_record(state, session, note.invocation_id, note.epoch) is not None:
        state.progress[note.invocation_id] = note.body
