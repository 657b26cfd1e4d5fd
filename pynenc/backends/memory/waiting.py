"""`suspend` and `watch`: check and register as one unit."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.memory.ending import end, note_run, notify_cancel
from pynenc.backends.memory.inheriting import inherit
from pynenc.backends.memory.state import MemoryState, Record, Session
from pynenc.backends.memory.submitting import add_edge
from pynenc.model.ids import InvocationId
from pynenc.model.records import CompletionReply, Suspend, Verdict, WatchReply
from pynenc.model.status import InvocationStatus, State
from pynenc.model.wait_graph import cycle_closed_by


def suspend(state: MemoryState, session: Session, record: Record | None, wish: Suspend, now_us: int) -> CompletionReply:
    """Suspend a run until enough of what it names is final, unless it is already, or never would be."""
    if record is None:
        outcome = state.outcomes.get(wish.invocation_id)
        repeated = outcome is not None and (outcome.session, outcome.epoch) == (session.number, wish.epoch)
        return CompletionReply(Verdict.ALREADY if repeated else Verdict.STALE)
    if record.state is not State.OWNED:
        return CompletionReply(Verdict.ACCEPTED)
    waits = tuple(dict.fromkeys(wish.waits))
    unknown = next((waited for waited in waits if waited not in state.calls), None)
    if unknown is not None:
        return CompletionReply(Verdict.UNKNOWN, cycle=(unknown,))
    final = tuple(state.outcomes[waited] for waited in waits if waited in state.outcomes)
    need = min(wish.need, len(waits)) or len(waits)
    if len(final) >= need:
        return CompletionReply(Verdict.SATISFIED, outcomes=final)
    awaited = [waited for waited in waits if waited not in state.outcomes]
    cycle = cycle_closed_by(record.id, awaited, lambda each: sorted(state.waiters.get(each, ())))
    if cycle:
        return CompletionReply(Verdict.WAIT_CYCLE, cycle=cycle)
    note_run(record, wish.ran_us, wish.worker, now_us)
    if record.cancel_requested:
        notify_cancel(state, record, "cancelled while running")
        end(state, record, InvocationStatus.CANCELLED, now_us, reason="cancelled while running")
        return CompletionReply(Verdict.ACCEPTED)
    _register(state, record, waits, need - len(final), wish.timeout_us, now_us)
    if wish.inherit:
        inherit(state, record, awaited, now_us)
    return CompletionReply(Verdict.ACCEPTED)


def _register(
    state: MemoryState,
    record: Record,
    waits: tuple[InvocationId, ...],
    need: int,
    timeout_us: int | None,
    now_us: int,
) -> None:
    for waited in waits:
        if waited not in state.outcomes:
            add_edge(state, record, waited)
    record.waits = waits
    record.need_left = need
    record.state = State.SUSPENDED
    record.expires_at_us = None
    record.suspended_at_us = now_us
    record.wait_until_us = None if timeout_us is None else now_us + timeout_us
    state.index(record, now_us)
    if record.gated:
        state.gating.suspend(record, now_us)


def watch(state: MemoryState, session: Session, ids: Sequence[InvocationId]) -> WatchReply:
    """Return what has ended and have the session told of the rest."""
    wanted = tuple(dict.fromkeys(ids))
    for invocation_id in wanted:
        if invocation_id in state.records:
            session.watched.add(invocation_id)
            state.watchers.setdefault(invocation_id, set()).add(session.number)
    return WatchReply(
        outcomes=tuple(state.outcomes[each] for each in wanted if each in state.outcomes),
        unknown=tuple(each for each in wanted if each not in state.calls),
    )
