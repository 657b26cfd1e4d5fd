"""I1, I4 and I5 of what is gated: one place each, units only for those inside, trials for whatever could pass."""

from __future__ import annotations

from collections.abc import Iterator

from pynenc.backends.memory.gating import MOST_TRIALS, Unit
from pynenc.backends.memory.lanes import Lane
from pynenc.backends.memory.ordered import Order
from pynenc.backends.memory.state import MemoryState, Record
from pynenc.model.gates import Gate, SlotGate
from pynenc.model.ids import InvocationId
from pynenc.model.records import Violation
from pynenc.model.status import State


def gate_violations(state: MemoryState, now_us: int) -> Iterator[Violation]:
    """Return what is wrong with lanes, tokens, units and trials."""
    yield from _members(state)
    entries = {queue: set(index) for queue, index in state.ready.items()}
    for lane in state.gating.lanes.lanes.values():
        yield from _lane(state, lane, entries.get(lane.queue, set()))
    yield from _resumes(state)
    yield from _units(state)
    yield from _trials(state, now_us)


# --- I1: one token each ---------------------------------------------------------------------------------


def _members(state: MemoryState) -> Iterator[Violation]:
    for record in state.records.values():
        queued = record.gated and record.state is State.READY and record.owner is None
        if queued != (record.lane is not None):
            yield Violation("I1", record.id, f"{record.state.name}, but {'not ' if queued else ''}in a lane")
        elif record.lane is not None and not _is_listed(state, record, record.lane):
            yield Violation("I1", record.id, "its lane is not listed, or does not list it")


def _is_listed(state: MemoryState, record: Record, lane: Lane) -> bool:
    return record.id in lane.members and state.gating.lanes.lanes.get(lane.key) is lane


def _lane(state: MemoryState, lane: Lane, ready: set[Order]) -> Iterator[Violation]:
    first = lane.members.first()
    if first is None:
        yield Violation("I1", None, f"the lane {lane.key} has no members")
        return
    for each in lane.members:
        record = state.records.get(each)
        if record is None or record.lane is not lane:
            yield Violation("I1", each, "a lane lists it, but it is not there")
    tokens = _tokens(state, lane, ready)
    if tokens != 1:
        yield Violation("I1", first, f"the lane that begins with it has {tokens} tokens")
    if lane.trial is not None and lane not in state.gating.trials.get((lane.trial, lane.queue), ()):
        yield Violation("I5", first, f"tries {lane.trial}, which does not know of it")


def _tokens(state: MemoryState, lane: Lane, ready: set[Order]) -> int:
    """Count the indexes in which a lane is found where it should be, and those in which it should not be."""
    lanes, order = state.gating.lanes, lane.members.first_order()
    blocked = [gate for gate, queues in lanes.blocked.items() if lane in queues.get(lane.queue, ())]
    share = lanes.shares.get((lane.queue, lane.flow or "")) if lane.flow is not None else None
    in_ready = lane.parked is None and lane.flow is None and lane.placed == order and order in ready
    in_flow = share is not None and lane in share.lanes
    return (blocked == [lane.parked]) + len(blocked) * (lane.parked is None) + in_ready + in_flow


def _resumes(state: MemoryState) -> Iterator[Violation]:
    gating = state.gating
    entries = {owner: set(index) for owner, index in state.resumable.items()}
    for record in state.records.values():
        resumable = record.state is State.READY and record.owner is not None
        if not resumable and (record.parked is not None or record.trial is not None):
            yield Violation("I1", record.id, f"{record.state.name}, but parked before a gate, or trying one")
        if not record.gated or not resumable:
            continue
        assert record.owner is not None
        listed = (record.rank, record.id) in entries.get(record.owner, ())
        parked = [gate for gate, waiting in gating.resumes.items() if record.id in waiting]
        if parked != ([] if record.parked is None else [record.parked]) or (record.parked is None and not listed):
            yield Violation("I1", record.id, f"resumable, parked before {parked} instead of {record.parked}")


# --- I4, I5: units --------------------------------------------------------------------------------------


def _units(state: MemoryState) -> Iterator[Violation]:
    for name, units in state.gating.holders.items():
        for each in units:
            record = state.records.get(each)
            if record is None or not _may_hold(record, name):
                where = "nowhere" if record is None else record.state.name
                yield Violation("I4", each, f"holds {name}, but is {where}")
        if len(units) > max((unit.limit for unit in units.values()), default=0):
            yield Violation("I5", None, f"{len(units)} are inside {name}, more than any limit they came in under")
    for record in state.records.values():
        if record.state is State.OWNED and any(state.gating.misses(record, gate) for gate in record.call.gates):
            yield Violation("I4", record.id, "runs without a unit of its gates")


def _may_hold(record: Record, name: str) -> bool:
    gate = next((gate for gate in record.call.gates if gate.name == name), None)
    if record.state is State.OWNED:
        return gate is not None
    if record.owner is not None:
        return isinstance(gate, SlotGate) and gate.hold_while_waiting
    return record.state is State.BLOCKED and isinstance(gate, SlotGate) and gate.block_lane_on_retry


# --- I5: a unit that is free is tried -------------------------------------------------------------------


def _trials(state: MemoryState, now_us: int) -> Iterator[Violation]:
    gating = state.gating
    for (gate, queue), lanes in gating.trials.items():
        for lane in lanes:
            if lane.trial != gate or lane.queue != queue or gating.lanes.lanes.get(lane.key) is not lane:
                yield Violation("I5", None, f"{gate} is tried by a lane of {queue} that is gone")
    for gate, ids in gating.resume_trials.items():
        for each in ids:
            if each not in state.records or state.records[each].trial != gate:
                yield Violation("I5", each, f"a unit of {gate} is kept for it, but it does not try it")
    for gate, waiting in gating.resumes.items():
        first = waiting.first()
        if first is not None and _could_pass(state, first, gate, len(gating.resume_trials.get(gate, ())), now_us):
            yield Violation("I5", first, f"is parked before {gate}, which is open")
    for gate, queues in gating.lanes.blocked.items():
        for parked in queues.values():
            head = parked.first()
            assert head is not None
            trying = len(gating.resume_trials.get(gate, ())) + gating.trying_before(head, gate)
            first = head.members.first()
            if first is not None and _could_pass(state, first, gate, trying, now_us):
                yield Violation("I5", first, f"its lane is parked before {gate}, which is open")


def _could_pass(state: MemoryState, first: InvocationId, name: str, trying: int, now_us: int) -> bool:
    """Whether one more has to try a gate. Where time opens it one that tries is enough, and a timer is none."""
    gate: Gate = next(gate for gate in state.records[first].call.gates if gate.name == name)
    room = state.gating.room(gate, now_us)
    if isinstance(gate, SlotGate):
        return min(room, MOST_TRIALS) > trying
    return room > 0 and not trying and name.encode() not in state.gating.timers


# --- repair ---------------------------------------------------------------------------------------------


def rebuild_units(state: MemoryState, now_us: int) -> None:
    """Keep units only for those that may have them, give them to those that run, and empty the lanes."""
    gating = state.gating
    for name, units in list(gating.holders.items()):
        gating.holders[name] = {
            each: unit for each, unit in units.items() if each in state.records and _may_hold(state.records[each], name)
        }
        if not gating.holders[name]:
            del gating.holders[name]
    gating.lanes.clear()
    gating.forget_trials()
    for record in state.records.values():
        record.lane = record.parked = record.trial = None
        for gate in record.call.gates if record.state is State.OWNED else ():
            if isinstance(gate, SlotGate) and gating.misses(record, gate):
                since_us = record.claimed_at_us if record.claimed_at_us is not None else now_us
                gating.holders.setdefault(gate.name, {})[record.id] = Unit(since_us, (), gating.limit(gate))
