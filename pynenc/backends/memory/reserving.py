"""Deduplication keys: who holds one, and what a submission that meets a holder does to it."""

from __future__ import annotations

from msgspec import structs

from pynenc.backends.memory.state import MemoryState, Record
from pynenc.model.ids import InvocationId
from pynenc.model.records import Dedupe, DedupePhase, Submission
from pynenc.model.status import Reason, State


def holder_of(state: MemoryState, key: bytes, now_us: int) -> InvocationId | None:
    """Return who holds a key; a key whose window is over is held by nobody."""
    holder = state.dedupe.get(key)
    if holder is None:
        return None
    dedupe = kept_dedupe(state, holder)
    if dedupe is None or dedupe.phase is not DedupePhase.FOR_A_WHILE:
        return holder
    return holder if now_us < state.calls[holder].created_at_us + dedupe.window_us else None


def kept_dedupe(state: MemoryState, holder: InvocationId) -> Dedupe | None:
    """Return the key as its holder took it."""
    record = state.records.get(holder)
    return state.kept[holder].dedupe if record is None else record.dedupe


def debounce(state: MemoryState, holder: InvocationId, item: Submission, now_us: int) -> bool:
    """Let the holder of a key take the arguments and the delay of `item`, unless it was claimed already."""
    record = state.records.get(holder)
    if record is None or record.epoch > 0:
        return False
    record.call = structs.replace(record.call, arguments=item.arguments)
    state.calls[holder] = record.call
    if record.need_left:
        record.not_before_us = _due_us(item, now_us)
    else:
        _delay_again(state, record, _due_us(item, now_us), now_us)
    return True


def _due_us(item: Submission, now_us: int) -> int | None:
    delay_us = item.delay_from(now_us)
    return now_us + delay_us if delay_us > 0 else None


def _delay_again(state: MemoryState, record: Record, due_us: int | None, now_us: int) -> None:
    if due_us is None and record.state is State.READY:
        return
    if record.gated:
        state.gating.withdraw(record, now_us)
    record.not_before_us = due_us
    record.state = State.READY if due_us is None else State.BLOCKED
    record.reason = Reason.NEW if due_us is None else Reason.DELAYED
    state.index(record, now_us)
