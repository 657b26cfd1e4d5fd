"""I1, I4 and I5 of what is gated: one place each, units only for those inside, trials for whatever could pass."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from pynenc.backends.sqlite.gate_state import HeldUnit
from pynenc.backends.sqlite.gating import MOST_TRIALS
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.rows import BLOCKED, GATED, OWNED, Live
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.gates import Gate, SlotGate
from pynenc.model.ids import InvocationId
from pynenc.model.records import Violation

_FIRST = "(SELECT {} FROM live WHERE live.queue = lane.queue AND live.lane = lane.id AND state = 1 AND owner IS NULL "
_FIRST += "ORDER BY live.rank, live.id LIMIT 1)"
_TOKEN = "(state = 1 AND owner IS NOT NULL)"

_CHECKS = (
    (
        "I1",
        f"SELECT id, 'READY and gated, but in no lane, or the other way round' FROM live WHERE "
        f"(flags & {GATED} AND state = 1 AND owner IS NULL) <> (lane IS NOT NULL AND lane > 0)",
    ),
    ("I1", "SELECT id, 'in a lane that is not there' FROM live WHERE lane > 0 AND lane NOT IN (SELECT id FROM lane)"),
    (
        "I1",
        f"SELECT id, 'does not know its gates' FROM live WHERE NOT flags & {GATED} AND "
        "(SELECT gates FROM call WHERE call.id = live.id) IS NOT NULL",
    ),
    (
        "I1",
        f"SELECT first, 'the lane that should begin with it begins otherwise' FROM lane WHERE "
        f"{_FIRST.format('live.id')} IS NOT first OR {_FIRST.format('live.rank')} IS NOT rank",
    ),
    (
        "I1",
        "SELECT first, 'its flow does not know of its lane' FROM lane WHERE parked IS NULL AND flow IS NOT NULL AND "
        "NOT EXISTS (SELECT 1 FROM share WHERE share.queue = lane.queue AND share.flow = lane.flow)",
    ),
    (
        "I1",
        "SELECT first, 'its flow has no lane that begins with it' FROM share WHERE NOT EXISTS (SELECT 1 FROM lane "
        "WHERE lane.queue = share.queue AND lane.flow = share.flow AND lane.first = share.first AND parked IS NULL)",
    ),
    ("I5", "SELECT first, 'is parked and tries ' || trial FROM lane WHERE parked IS NOT NULL AND trial IS NOT NULL"),
    (
        "I1",
        "SELECT resuming.id, 'parked before a gate, or trying one, but not resumable' FROM resuming LEFT JOIN live "
        f"USING (id) WHERE live.id IS NULL OR NOT {_TOKEN}",
    ),
    (
        "I1",
        f"SELECT id, 'resumable, but its token is nowhere' FROM live WHERE {_TOKEN} AND "
        "(lane IS NOT NULL) <> EXISTS (SELECT 1 FROM resuming WHERE resuming.id = live.id AND parked IS NOT NULL)",
    ),
    (
        "I5",
        "SELECT NULL, count(*) || ' are inside ' || gate || ', more than any limit they came in under' FROM holder "
        "GROUP BY gate HAVING count(*) > max(most)",
    ),
)

_CLOSED = (
    "SELECT parked FROM resuming WHERE parked IS NOT NULL UNION SELECT parked FROM lane WHERE parked IS NOT NULL "
    "ORDER BY 1"
)


def gate_violations(connection: sqlite3.Connection, names: QueueNames, now: int) -> Iterator[Violation]:
    """Return what is wrong with lanes, tokens, units and trials."""
    for invariant, statement in _CHECKS:
        for each, detail in connection.execute(statement).fetchall():
            yield Violation(invariant, each, detail)
    unit = Unit(connection, now, names)
    yield from _units(unit)
    yield from _parked(unit)


# --- I4: units ------------------------------------------------------------------------------------------


def _units(unit: Unit) -> Iterator[Violation]:
    for gate, each in unit.connection.execute("SELECT gate, id FROM holder ORDER BY gate, id").fetchall():
        if not _may_hold(unit, each, gate):
            yield Violation("I4", each, f"holds {gate}, but is not inside")
    for live in _running(unit):
        if any(unit.gating.misses(live.id, gate) for gate in unit.gating.lanes.call(live.id).gates):
            yield Violation("I4", live.id, "runs without a unit of its gates")


def _may_hold(unit: Unit, invocation_id: InvocationId, name: str) -> bool:
    live = unit.live(invocation_id)
    if live is None or not live.flags & GATED:
        return False
    gate = _named(unit, invocation_id, name)
    if live.state == OWNED:
        return gate is not None
    if live.owner is not None:
        return isinstance(gate, SlotGate) and gate.hold_while_waiting
    return live.state == BLOCKED and isinstance(gate, SlotGate) and gate.block_lane_on_retry


def _running(unit: Unit) -> list[Live]:
    rows = unit.connection.execute(f"SELECT id FROM live WHERE state = 2 AND flags & {GATED} ORDER BY id").fetchall()
    ids = [row[0] for row in rows]
    unit.load(ids)
    unit.gating.load(ids)
    return [live for each in ids if (live := unit.live(each)) is not None]


# --- I5: a unit that is free is tried -------------------------------------------------------------------


def _parked(unit: Unit) -> Iterator[Violation]:
    gating = unit.gating
    for (gate,) in unit.connection.execute(_CLOSED).fetchall():
        kept = gating.resuming.trying(gate)
        first = gating.resuming.first(gate)
        if first is not None and (why := _parked_wrongly(unit, first, gate, kept)):
            yield Violation("I5", first, why)
        for queue in gating.lanes.queues_before(gate):
            head = gating.lanes.parked(gate, queue).first()
            assert head is not None
            trying = kept + gating.trying_before(gating.lanes.lane(head[1]), gate)
            if why := _parked_wrongly(unit, head[0][1], gate, trying):
                yield Violation("I5", head[0][1], f"its lane {why}")


def _parked_wrongly(unit: Unit, first: InvocationId, name: str, trying: int) -> str:
    """Return why one more has to try a gate, "" if none has to.

    Where time opens a gate one that tries is enough, and a timer is none.
    """
    gate = _named(unit, first, name)
    if gate is None:
        return f"is parked before {name}, which it does not name"
    room = unit.gating.room(gate)
    timer = unit.connection.execute("SELECT 1 FROM gate_timer WHERE gate = ?", (name,)).fetchone()
    could = min(room, MOST_TRIALS) > trying if isinstance(gate, SlotGate) else room > 0 and not trying and timer is None
    return f"is parked before {name}, which is open" if could else ""


def _named(unit: Unit, invocation_id: InvocationId, name: str) -> Gate | None:
    return next((gate for gate in unit.gating.lanes.call(invocation_id).gates if gate.name == name), None)


# --- repair ---------------------------------------------------------------------------------------------


def rebuild_units(unit: Unit) -> None:
    """Keep units only for those that may have them, give them to those that run, and make the lanes anew."""
    connection = unit.connection
    connection.execute(
        f"UPDATE live SET flags = flags | {GATED} WHERE id IN (SELECT id FROM call WHERE gates IS NOT NULL)"
    )
    for table in ("lane", "share", "resuming", "kin", "gate_timer"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE queue SET virtual = NULL")
    connection.execute("UPDATE live SET lane = NULL WHERE lane IS NOT NULL")
    unit.forget()
    gating = unit.gating
    for gate, each in connection.execute("SELECT gate, id FROM holder").fetchall():
        if not _may_hold(unit, each, gate):
            gating.holders.give(gate, each)
    for live in _running(unit):
        for gate in gating.lanes.call(live.id).gates:
            if isinstance(gate, SlotGate) and gating.misses(live.id, gate):
                since = unit.now if live.claimed_at is None else live.claimed_at
                gating.holders.take(gate.name, live.id, HeldUnit(since, (), gating.limit(gate)))


def rebuild_lanes(unit: Unit) -> None:
    """Queue what is READY and gated."""
    unit.flush()
    rows = unit.connection.execute(
        f"SELECT id FROM live WHERE flags & {GATED} AND state = 1 AND owner IS NULL AND lane IS NULL ORDER BY rank, id"
    )
    ids = [row[0] for row in rows.fetchall()]
    unit.load(ids)
    for each in ids:
        live = unit.live(each)
        if live is not None:
            unit.placed(live)
