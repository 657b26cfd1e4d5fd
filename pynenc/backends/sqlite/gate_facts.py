"""What there is to tell of gates: for one invocation, and for the canonical dump."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from pynenc.backends.canonical import plain
from pynenc.backends.sqlite.gate_state import every_setting
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.rows import Live, select_in, split_ids
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.gates import BreakerGate, Gate, GateFact, GateHolder, SlotGate
from pynenc.model.ids import InvocationId

MOST_NAMED = 20

_HOLDERS = (
    "SELECT holder.id, task_id, since FROM holder JOIN call USING (id) WHERE gate = ? ORDER BY since, holder.id LIMIT ?"
)


def gate_facts(
    connection: sqlite3.Connection, names: QueueNames, invocation_id: InvocationId, now: int
) -> tuple[GateFact, ...]:
    """Return how each gate stands for an invocation that is not final, by name."""
    unit = Unit(connection, now, names)
    live = unit.live(invocation_id)
    if live is None:
        return ()
    parked = parked_gates(connection, [live]).get(invocation_id)
    return tuple(_fact(unit, live, gate, parked) for gate in unit.gating.lanes.call(invocation_id).gates)


def _fact(unit: Unit, live: Live, gate: Gate, parked: str | None) -> GateFact:
    gating = unit.gating
    closed = gating.stops(live, gate)
    opens = gating.opens_at(gate)
    breaker = gating.breakers.state(gate.name) if isinstance(gate, BreakerGate) else None
    holders = unit.connection.execute(_HOLDERS, (gate.name, MOST_NAMED)).fetchall()
    return GateFact(
        name=gate.name,
        closed=closed,
        parked=parked == gate.name,
        limit=gating.limit(gate) if isinstance(gate, SlotGate) else None,
        explicit=gating.settings.get(gate.name) is not None,
        holders=tuple(GateHolder(invocation_id=each, task_id=task, since_us=since) for each, task, since in holders),
        holders_total=gating.holders.number(gate.name),
        opens_at_us=opens if closed and opens is not None and opens > unit.now else None,
        failures=breaker.failures if breaker else 0,
        open_since_us=breaker.open_since if breaker else None,
    )


def parked_gates(connection: sqlite3.Connection, lives: Sequence[Live]) -> dict[InvocationId, str]:
    """Return the gates before which these, or their lanes, are parked."""
    numbers = list({live.lane for live in lives if live.lane})
    lanes = dict(select_in(connection, "SELECT id, parked FROM lane WHERE id IN (*) AND parked IS NOT NULL", numbers))
    resumable = [live.id for live in lives if live.lane == 0]
    found = dict(select_in(connection, "SELECT id, parked FROM resuming WHERE id IN (*)", resumable))
    found.update({live.id: lanes[live.lane] for live in lives if live.lane in lanes})
    return found


def dump_gates(connection: sqlite3.Connection, now: int) -> dict[str, Any]:
    """Return the canonical form of everything about gates; parts without anything in them are left out."""
    execute = connection.execute
    parts: dict[str, dict[str, Any]] = {
        "lanes": _dump_lanes(connection),
        "resumes": {
            each.hex(): {"parked": parked, "trial": trial}
            for each, parked, trial in execute("SELECT id, parked, trial FROM resuming")
        },
        "holders": _dump_holders(connection),
        "rates": dict(execute("SELECT gate, arrival FROM rate WHERE arrival > ?", (now,)).fetchall()),
        "breakers": {
            gate: {"failures": failures, "open_since_us": since, "open_until_us": until}
            for gate, failures, since, until in execute("SELECT gate, failures, open_since, open_until FROM breaker")
        },
        "settings": {setting.name: plain(setting) for setting in every_setting(connection)},
        "flows": _dump_flows(connection),
        "timers": dict(execute("SELECT gate, due FROM gate_timer").fetchall()),
    }
    return {name: dict(sorted(part.items())) for name, part in parts.items() if part}


def _dump_lanes(connection: sqlite3.Connection) -> dict[str, Any]:
    members: dict[int, list[str]] = {}
    for lane, each in connection.execute("SELECT lane, id FROM live WHERE lane > 0 ORDER BY rank, id"):
        members.setdefault(lane, []).append(each.hex())
    return {
        first.hex(): {"members": members.get(number, []), "parked": parked, "trial": trial}
        for number, first, parked, trial in connection.execute("SELECT id, first, parked, trial FROM lane")
    }


def _dump_holders(connection: sqlite3.Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for gate, each, since, lenders, most in connection.execute(
        "SELECT gate, id, since, lenders, most FROM holder ORDER BY gate, id"
    ):
        unit = {"since_us": since, "lenders": [lender.hex() for lender in split_ids(lenders)], "limit": most}
        found.setdefault(gate, {})[each.hex()] = unit
    return found


def _dump_flows(connection: sqlite3.Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for queue, virtual, flow, tag in connection.execute(
        "SELECT name, virtual, flow, tag FROM share JOIN queue ON queue.id = share.queue ORDER BY name, flow"
    ):
        found.setdefault(queue, {"virtual": virtual, "tags": {}})["tags"][flow] = tag
    return found
