"""`cancel`: end what has not begun, tell the owners of what has."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.memory.ending import end, notify_cancel
from pynenc.backends.memory.state import MemoryState
from pynenc.model.ids import InvocationId
from pynenc.model.records import CancelReply, CancelVerdict
from pynenc.model.status import InvocationStatus, State


def cancel(state: MemoryState, ids: Sequence[InvocationId], tree: bool, detail: str, now_us: int) -> list[CancelReply]:
    """Cancel `ids` in their order, then with `tree` everything below them by id."""
    given = list(dict.fromkeys(ids))
    below = sorted(_descendants(state, given)) if tree else []
    return [CancelReply(each, _cancel_one(state, each, detail, now_us)) for each in [*given, *below]]


def _descendants(state: MemoryState, roots: list[InvocationId]) -> set[InvocationId]:
    found: set[InvocationId] = set()
    frontier = list(roots)
    while frontier:
        children = state.children.get(frontier.pop(), set()) - found
        found |= children
        frontier.extend(children)
    return found - set(roots)


def _cancel_one(state: MemoryState, invocation_id: InvocationId, detail: str, now_us: int) -> CancelVerdict:
    record = state.records.get(invocation_id)
    if record is None:
        return CancelVerdict.FINAL if invocation_id in state.outcomes else CancelVerdict.UNKNOWN
    if record.state is State.OWNED:
        if not record.cancel_requested:
            record.cancel_requested = True
            notify_cancel(state, record, detail)
        return CancelVerdict.REQUESTED
    notify_cancel(state, record, detail)
    end(state, record, InvocationStatus.CANCELLED, now_us, reason=detail)
    return CancelVerdict.CANCELLED
