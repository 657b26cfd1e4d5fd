"""What there is to tell of gates: for one invocation, and for the canonical dump."""

from __future__ import annotations

from typing import Any

from pynenc.backends.canonical import plain
from pynenc.backends.memory.gating import Breaker, Gating
from pynenc.backends.memory.state import MemoryState, Record
from pynenc.model.gates import BreakerGate, Gate, GateFact, GateHolder, SlotGate
from pynenc.model.ids import InvocationId

MOST_NAMED = 20


def gate_facts(state: MemoryState, record: Record, now_us: int) -> tuple[GateFact, ...]:
    """Return how each gate stands for an invocation, by name."""
    return tuple(_fact(state, record, gate, now_us) for gate in record.call.gates)


def _fact(state: MemoryState, record: Record, gate: Gate, now_us: int) -> GateFact:
    gating = state.gating
    closed = gating.stops(record, gate, now_us)
    opens_us = gating.opens_at_us(gate)
    breaker = gating.breakers.get(gate.name) if isinstance(gate, BreakerGate) else None
    holders = _holders(state, gate.name)
    return GateFact(
        name=gate.name,
        closed=closed,
        parked=record.gate == gate.name,
        limit=gating.limit(gate) if isinstance(gate, SlotGate) else None,
        explicit=gate.name in gating.lanes.settings,
        holders=tuple(holders[:MOST_NAMED]),
        holders_total=len(holders),
        opens_at_us=opens_us if closed and opens_us is not None and opens_us > now_us else None,
        failures=breaker.failures if breaker else 0,
        open_since_us=breaker.open_since_us if breaker else None,
    )


def _holders(state: MemoryState, name: str) -> list[GateHolder]:
    units = state.gating.holders.get(name, {})
    return [
        GateHolder(invocation_id=each, task_id=state.calls[each].task_id, since_us=units[each].since_us)
        for each in sorted(units, key=lambda each: (units[each].since_us, each))
    ]


def dump_gates(state: MemoryState, now_us: int) -> dict[str, Any]:
    """Return the canonical form of everything about gates; parts without anything in them are left out."""
    gating = state.gating
    lanes = gating.lanes
    parts: dict[str, dict[str, Any]] = {
        "lanes": {
            _first(lane.members).hex(): {
                "members": [each.hex() for each in lane.members],
                "parked": lane.parked,
                "trial": lane.trial,
            }
            for lane in lanes.lanes.values()
        },
        "resumes": {
            record.id.hex(): {"parked": record.parked, "trial": record.trial}
            for record in state.records.values()
            if record.parked is not None or record.trial is not None
        },
        "holders": _dump_holders(gating),
        "rates": {name: gating.arrival_us(name) for name in gating.rates if gating.arrival_us(name) > now_us},
        "breakers": {name: _dump_breaker(breaker) for name, breaker in gating.breakers.items()},
        "settings": {name: plain(setting) for name, setting in lanes.settings.items()},
        "flows": {
            queue: {
                "virtual": lanes.virtual.get(queue),
                "tags": {flow: lanes.shares[queue, flow].tag for flow in sorted(flows)},
            }
            for queue, flows in lanes.fair.items()
        },
        "timers": {name.decode(): gating.timers.order_of(name)[0] for name in gating.timers},
    }
    return {name: dict(sorted(part.items())) for name, part in parts.items() if part}


def _dump_holders(gating: Gating) -> dict[str, Any]:
    return {
        name: {
            each.hex(): {
                "since_us": unit.since_us,
                "lenders": [lender.hex() for lender in unit.lenders],
                "limit": unit.limit,
            }
            for each, unit in sorted(units.items())
        }
        for name, units in gating.holders.items()
        if units
    }


def _dump_breaker(breaker: Breaker) -> dict[str, Any]:
    return {
        "failures": breaker.failures,
        "open_since_us": breaker.open_since_us,
        "open_until_us": breaker.open_until_us,
    }


def _first(members: Any) -> InvocationId:
    first: InvocationId = members.first()
    return first
