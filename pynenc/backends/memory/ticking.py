"""`tick`: whatever is due, each thing once, whoever calls."""

from __future__ import annotations

from pynenc.backends.memory.claiming import expire
from pynenc.backends.memory.ending import resume
from pynenc.backends.memory.queries import unnamed_before
from pynenc.backends.memory.sessions import recover
from pynenc.backends.memory.state import MemoryState, Record
from pynenc.model.ids import InvocationId
from pynenc.model.records import TickReply
from pynenc.model.status import Reason, State


def tick(state: MemoryState, budget: int, now_us: int) -> TickReply:
    """Handle up to `budget` timers, sessions and outcomes each."""
    handled = [
        _timers(state, budget, now_us),
        _sessions(state, budget, now_us),
        _retention(state, budget, now_us),
    ]
    state.gating.drop_idle_rates(budget, now_us)
    return TickReply(
        handled=sum(handled), next_due_us=next_due_us(state, now_us), more=any(each >= budget for each in handled)
    )


def next_due_us(state: MemoryState, now_us: int) -> int | None:
    """Return how long until the earliest timer or end of a lease."""
    moments = [session.expires_at_us for session in state.sessions.values() if session.ended_at_us is None]
    first_us = state.first_due_us()
    if first_us is not None:
        moments.append(first_us)
    return max(0, min(moments) - now_us) if moments else None


def _timers(state: MemoryState, budget: int, now_us: int) -> int:
    handled = 0
    while handled < budget:
        entry, gate = state.first_due(), state.gating.timers.first_order()
        if gate is not None and gate[0] <= now_us and (entry is None or gate[0] < entry[0]):
            state.gating.activate(gate[1].decode(), now_us)
        elif entry is not None and entry[0] <= now_us:
            _handle(state, state.records[entry[1]], now_us)
        else:
            break
        handled += 1
    return handled


def _handle(state: MemoryState, record: Record, now_us: int) -> None:
    if record.expires_at_us is not None and record.expires_at_us <= now_us and record.waits_for_a_claim:
        expire(state, record, now_us)
    elif record.state is State.SUSPENDED:
        resume(state, record, now_us, timed_out=True)
    else:
        record.state = State.READY
        record.not_before_us = None
        if record.reason is Reason.DELAYED:
            record.reason = Reason.NEW
        state.index(record, now_us)
        if record.gated:
            state.gating.give_up(record, now_us)


def _sessions(state: MemoryState, budget: int, now_us: int) -> int:
    expired = [
        session
        for session in state.sessions.values()
        if session.ended_at_us is None and session.expires_at_us <= now_us
    ]
    for session in expired[:budget]:
        recover(state, session, now_us)
    return min(len(expired), budget)


def _retention(state: MemoryState, budget: int, now_us: int) -> int:
    handled = 0
    while handled < budget:
        entry = state.first_expired_outcome()
        if entry is None or entry[0] > now_us:
            break
        forget(state, entry[1])
        handled += 1
    if handled:
        _drop_unnamed(state, budget, now_us)
    return handled


def _drop_unnamed(state: MemoryState, budget: int, now_us: int) -> None:
    """Drop what no known invocation can name: client data that was last written, and sessions that ended, well before
    the oldest of them was submitted."""
    limit_us = unnamed_before(state, now_us)
    old = sorted((written_us, key) for key, (_, written_us) in state.blobs.items() if written_us < limit_us)
    for _, key in old[:budget]:
        del state.blobs[key]
    over = sorted(
        (each.ended_at_us, each.number)
        for each in state.sessions.values()
        if each.ended_at_us is not None and each.ended_at_us < limit_us
    )
    for _, number in over[:budget]:
        del state.sessions[number]


def forget(state: MemoryState, invocation_id: InvocationId) -> None:
    """Drop everything that is known of a final invocation."""
    _, kept = state.drop_outcome(invocation_id)
    call = state.calls.pop(invocation_id)
    state.attempts.pop(invocation_id, None)
    state.progress.pop(invocation_id, None)
    if kept.dedupe is not None and state.dedupe.get(kept.dedupe.key) == invocation_id:
        del state.dedupe[kept.dedupe.key]
    if call.parent_id is not None:
        siblings = state.children.get(call.parent_id, set())
        siblings.discard(invocation_id)
        if not siblings:
            state.children.pop(call.parent_id, None)
