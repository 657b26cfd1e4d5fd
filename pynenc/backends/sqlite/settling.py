"""What owners report of their runs: begins, ends, waits, progress."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.sqlite.ending import crash, end, give_back
from pynenc.backends.sqlite.rows import GATED, OWNED, Live
from pynenc.backends.sqlite.unit import Unit
from pynenc.backends.sqlite.waiting import note_run, suspend
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
from pynenc.model.status import InvocationStatus, Reason

_ACCEPTED = CompletionReply(Verdict.ACCEPTED)
_ALREADY = CompletionReply(Verdict.ALREADY)
_STALE = CompletionReply(Verdict.STALE)


def settle(unit: Unit, session: int, completions: Sequence[Completion]) -> tuple[CompletionReply, ...]:
    """Apply the completions whose sender still owns the invocation."""
    if not completions:
        return ()
    unit.load(done.invocation_id for done in completions)
    gated = [live.id for done in completions if (live := unit.live(done.invocation_id)) and live.flags & GATED]
    if gated:
        unit.gating.load(gated)
    return tuple([_settle_one(unit, session, done) for done in completions])


def _settle_one(unit: Unit, session: int, done: Completion) -> CompletionReply:
    live = unit.live(done.invocation_id)
    if live is None or live.owner != session or live.epoch != done.epoch:
        return _repetition(unit, session, done)
    if isinstance(done, Suspend):
        return suspend(unit, live, done)
    if live.state != OWNED:
        return _STALE
    note_run(live, done.ran_us, done.worker, unit.now)
    if live.flags & GATED and isinstance(done, Success | Failure | Retry | Crash):
        unit.gating.report(live, failed=not isinstance(done, Success))
    if isinstance(done, Success):
        end(unit, live, InvocationStatus.SUCCESS, payload=done.result, session=session)
    else:
        _apply(unit, live, session, done)
    return _ACCEPTED


def _apply(unit: Unit, live: Live, session: int, done: Failure | Retry | Release | Crash | Cancelled) -> None:
    match done:
        case Failure():
            end(unit, live, InvocationStatus.FAILED, payload=done.error, reason=done.reason, session=session)
        case Cancelled():
            end(unit, live, InvocationStatus.CANCELLED, reason=done.detail, session=session)
        case Retry():
            unit.write_attempt(live, done.reason, error=done.error)
            live.expires_at = None
            give_back(unit, live, done.reason, delay=done.delay_us)
        case Release():
            unit.write_attempt(live, Reason.RELEASED, detail=done.detail)
            live.attempt -= 1
            give_back(unit, live, Reason.RELEASED, delay=done.delay_us)
        case Crash():
            crash(unit, live, Reason.WORKER_CRASHED, done.detail)


def _repetition(unit: Unit, session: int, done: Completion) -> CompletionReply:
    return _ALREADY if unit.ended_by(done.invocation_id) == (session, done.epoch) else _STALE


def note_started(unit: Unit, session: int, notes: Sequence[Started]) -> None:
    """Note when and where bodies began; a stale report changes nothing."""
    if not notes:
        return
    unit.load(note.invocation_id for note in notes)
    now = unit.now
    rows = []
    for note in notes:
        live = _owned(unit, session, note)
        if live is None or live.state != OWNED or live.started_at is not None:
            continue
        live.started_at = max(now if live.claimed_at is None else live.claimed_at, now - note.ago_us)
        live.worker = note.worker
        live.expires_at = None
        rows.append((live.started_at, live.worker, live.id))
    # None of these columns is part of an index, unlike what `changed` writes.
    unit.connection.executemany("UPDATE live SET started_at = ?, worker = ?, expires_at = NULL WHERE id = ?", rows)


def note_progress(unit: Unit, session: int, notes: Sequence[ProgressNote]) -> None:
    """Keep the latest progress notes of owned invocations; stale ones change nothing."""
    if not notes:
        return
    unit.load(note.invocation_id for note in notes)
    unit.connection.executemany(
        "INSERT INTO progress (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        [(note.invocation_id, note.body) for note in notes if _owned(unit, session, note) is not None],
    )


def _owned(unit: Unit, session: int, note: Started | ProgressNote) -> Live | None:
    live = unit.live(note.invocation_id)
    if live is None or live.owner != session or live.epoch != note.epoch:
        return None
    return live
