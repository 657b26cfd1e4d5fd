"""Passing the place of a waiter on to what it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.memory.state import MemoryState, Record
from pynenc.model.gates import keep_order
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import MOST_INHERITING, before
from pynenc.model.status import State


def inherit(state: MemoryState, waiter: Record, awaited: Sequence[InvocationId], now_us: int) -> None:
    """Move what nobody runs yet before `waiter`: what it waits for, and what that waits for in turn."""
    rank, found = before(waiter.rank), dict.fromkeys(awaited)
    order = list(found)
    for place, invocation_id in enumerate(order):
        if place >= MOST_INHERITING:
            break
        record = state.records[invocation_id]
        if record.owner is None and record.rank > rank and not keep_order(record.call.gates):
            _move(state, record, rank, now_us)
        new = [each for each in sorted(record.edges) if each not in found]
        found.update(dict.fromkeys(new))
        order += new


def _move(state: MemoryState, record: Record, rank: int, now_us: int) -> None:
    queued = record.state is State.READY
    if queued and record.gated:
        state.gating.withdraw(record, now_us)
    record.rank = rank
    if queued:
        state.index(record, now_us)
