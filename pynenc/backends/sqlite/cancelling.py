"""`cancel`: end what has not begun, tell the owners of what has."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.sqlite.ending import end
from pynenc.backends.sqlite.rows import OWNED
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.ids import InvocationId
from pynenc.model.records import CancelReply, CancelVerdict
from pynenc.model.status import InvocationStatus


def cancel(unit: Unit, ids: Sequence[InvocationId], *, tree: bool, detail: str) -> list[CancelReply]:
    """Cancel `ids` in their order, then with `tree` everything below them by id."""
    given = list(dict.fromkeys(ids))
    below = sorted(_descendants(unit, given)) if tree else []
    everything = [*given, *below]
    unit.load(everything)
    return [CancelReply(each, _cancel_one(unit, each, detail)) for each in everything]


def _descendants(unit: Unit, roots: list[InvocationId]) -> set[InvocationId]:
    found: set[InvocationId] = set()
    frontier = list(roots)
    while frontier:
        children = {
            row[0] for row in unit.connection.execute("SELECT id FROM call WHERE parent = ?", (frontier.pop(),))
        } - found
        found |= children
        frontier.extend(children)
    return found - set(roots)


def _cancel_one(unit: Unit, invocation_id: InvocationId, detail: str) -> CancelVerdict:
    live = unit.live(invocation_id)
    if live is None:
        return CancelVerdict.UNKNOWN if unit.ended_by(invocation_id) is None else CancelVerdict.FINAL
    if live.state == OWNED:
        if not live.cancel_requested:
            live.cancel_requested = 1
            unit.changed(live)
            unit.tell_cancel(live, detail)
        return CancelVerdict.REQUESTED
    unit.tell_cancel(live, detail)
    end(unit, live, InvocationStatus.CANCELLED, reason=detail)
    return CancelVerdict.CANCELLED
