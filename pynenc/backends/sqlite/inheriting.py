"""Passing the place of a waiter on to what it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.sqlite.rows import GATED, READY, Live
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.gates import keep_order
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import MOST_INHERITING, before


def inherit(unit: Unit, waiter: Live, awaited: Sequence[InvocationId]) -> None:
    """Move what nobody runs yet before `waiter`: what it waits for, and what that waits for in turn."""
    rank, found = before(waiter.rank), dict.fromkeys(awaited)
    order = list(found)
    for place, invocation_id in enumerate(order):
        if place >= MOST_INHERITING:
            break
        live = unit.live(invocation_id)
        if live is None:
            continue
        if live.owner is None and live.rank > rank and not _keeps_order(unit, live):
            _move(unit, live, rank)
        rows = unit.connection.execute("SELECT waited FROM wait WHERE waiter = ? ORDER BY waited", (invocation_id,))
        new = [each for (each,) in rows if each not in found]
        found.update(dict.fromkeys(new))
        order += new


def _keeps_order(unit: Unit, live: Live) -> bool:
    return bool(live.flags & GATED) and keep_order(unit.gating.lanes.call(live.id).gates)


def _move(unit: Unit, live: Live, rank: int) -> None:
    gated = live.state == READY and live.flags & GATED
    if gated:
        unit.gating.withdraw(live)
    live.rank = rank
    unit.changed(live)
    if gated:
        # Lanes read their members from the file, by rank.
        unit.flush()
    unit.placed(live)
