"""`submit`: new invocations."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from pynenc.backends.gate_checks import checked
from pynenc.backends.memory.ending import end
from pynenc.backends.memory.reserving import debounce, holder_of, kept_dedupe
from pynenc.backends.memory.state import MemoryState, Record
from pynenc.model.dependencies import fallen_status, outlook
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT
from pynenc.model.records import (
    NEWEST_FIRST,
    Call,
    Dedupe,
    DedupeMode,
    Fence,
    Submission,
    SubmitReply,
    SubmitVerdict,
)
from pynenc.model.status import Reason, State


def submit(state: MemoryState, items: Sequence[Submission], now_us: int) -> list[SubmitReply]:
    """Create invocations in order; validate everything that can be refused before writing anything."""
    for item in items:
        if item.gates or item.flow is not None:
            checked(item.gates, item.flow)
    return [_submit_one(state, item, now_us) for item in items]


def _submit_one(state: MemoryState, item: Submission, now_us: int) -> SubmitReply:
    if item.invocation_id in state.calls:
        return SubmitReply(SubmitVerdict.EXISTING, item.invocation_id)
    if item.parent is not None and not holds(state, item.parent):
        return SubmitReply(SubmitVerdict.STALE_PARENT, item.invocation_id)
    for dependency in item.after:
        if dependency not in state.calls:
            return SubmitReply(SubmitVerdict.UNKNOWN_DEPENDENCY, dependency)
    if item.dedupe is not None:
        holder = holder_of(state, item.dedupe.key, now_us)
        if holder is not None:
            return SubmitReply(_held(state, holder, item, item.dedupe, now_us), holder)
    record = _create(state, item, now_us)
    _place(state, record, item, now_us)
    return SubmitReply(SubmitVerdict.CREATED, item.invocation_id)


def _held(state: MemoryState, holder: InvocationId, item: Submission, wish: Dedupe, now_us: int) -> SubmitVerdict:
    """Return what becomes of an item whose key is held."""
    if wish.mode is DedupeMode.RAISE:
        held = kept_dedupe(state, holder)
        same = held is not None and held.arguments_hash == wish.arguments_hash
        return SubmitVerdict.DEDUPED if same else SubmitVerdict.DIFFERENT
    if wish.mode is DedupeMode.DEBOUNCE and debounce(state, holder, item, now_us):
        return SubmitVerdict.DEBOUNCED
    return SubmitVerdict.DEDUPED


def holds(state: MemoryState, fence: Fence) -> bool:
    """Whether the bearer of `fence` still owns its invocation."""
    record = state.records.get(fence.invocation_id)
    return record is not None and record.owner == fence.session and record.epoch == fence.epoch


def _create(state: MemoryState, item: Submission, now_us: int) -> Record:
    parent = item.parent.invocation_id if item.parent else item.parent_id
    parent_call = state.calls.get(parent) if parent else None
    call = Call(
        invocation_id=item.invocation_id,
        task_id=item.task_id,
        queue=item.queue,
        language=item.language,
        arguments=item.arguments,
        policy=item.policy,
        meta=item.meta,
        parent_id=parent,
        root_id=parent_call.root_id if parent_call else parent or item.invocation_id,
        created_at_us=now_us,
    )
    gated = bool(item.gates) or item.flow is not None
    if gated:
        call = structs.replace(call, gates=checked(item.gates, item.flow), flow=item.flow)
    delay_us = item.delay_from(now_us)
    record = Record(
        call=call,
        rank=item.band * BAND_UNIT + _key(state, item.key),
        registered_at_us=now_us,
        retention_us=item.retention_us,
        max_crashes=item.max_crashes,
        expires_at_us=None if item.expires_us is None else now_us + item.expires_us,
        not_before_us=now_us + delay_us if delay_us > 0 else None,
        dedupe=item.dedupe,
        gated=gated,
        after_policy=item.after_policy,
    )
    state.calls[call.invocation_id] = call
    state.records[call.invocation_id] = record
    state.queues.add(call.queue)
    if parent is not None:
        state.children.setdefault(parent, set()).add(call.invocation_id)
    if item.dedupe is not None:
        state.dedupe[item.dedupe.key] = call.invocation_id
    return record


def _key(state: MemoryState, wanted: int | None) -> int:
    """Return the order within the band; without one of its own it follows from the sequence."""
    if wanted is None:
        return state.take_sequence()
    return BAND_UNIT - 1 - state.take_sequence() if wanted == NEWEST_FIRST else wanted


def _place(state: MemoryState, record: Record, item: Submission, now_us: int) -> None:
    """Decide whether it can run now, later, after others, or not at all."""
    if item.after:
        ended = {each: state.outcomes[each].status for each in item.after if each in state.outcomes}
        view = outlook(item, ended)
        if view.broken:
            record.state = State.BLOCKED
            end(state, record, fallen_status(item.after_policy), now_us, reason=view.broken)
            return
        for dependency in view.awaited:
            add_edge(state, record, dependency)
        record.need_left = view.need
    if record.edges:
        record.state, record.reason = State.BLOCKED, Reason.DEPENDENCIES
    elif record.not_before_us is not None:
        record.state, record.reason = State.BLOCKED, Reason.DELAYED
    state.index(record, now_us)


def add_edge(state: MemoryState, waiter: Record, waited: InvocationId) -> None:
    """Note that `waiter` waits for `waited`."""
    waiter.edges.add(waited)
    state.waiters.setdefault(waited, set()).add(waiter.id)
