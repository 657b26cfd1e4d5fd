"""C5: limits at every moment, rates in every window. C6: the order of ordering keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from pynenc.model.gates import Gate, RateGate, RateSetting, SlotGate, SlotSetting
from pynenc.model.ids import InvocationId
from pynenc.model.records import Submission, Suspend
from pynenc.model.status import Reason
from pynenc.testing.simulation.history import Evidence, Finding
from pynenc.testing.simulation.ledger import Ledger, Life, Mark

_LOST = (Reason.RUNNER_LOST_PENDING, Reason.RUNNER_LOST_RUNNING, Reason.RELEASED)
_END = 1 << 62

_Move: TypeAlias = tuple[int, int, int, InvocationId]
"""When, 0 for out and 1 for in, index, who."""


def limits(evidence: Evidence, ledger: Ledger) -> Iterator[Finding]:
    """Never are more inside a gate than its limit at the moment of the last one's coming in."""
    moves: dict[str, list[_Move]] = defaultdict(list)
    gates: dict[str, SlotGate] = {}
    for invocation_id, life in ledger.lives.items():
        for gate in _gates(life):
            if isinstance(gate, SlotGate):
                gates[gate.name] = gate
                for came, went in _stays(life, gate):
                    moves[gate.name] += [(*came, invocation_id), (*went, invocation_id)]
    for name, gate in gates.items():
        yield from _swept(evidence, ledger, gate, sorted(moves[name]))


def _swept(evidence: Evidence, ledger: Ledger, gate: SlotGate, moves: list[_Move]) -> Iterator[Finding]:
    inside: list[InvocationId] = []
    for at_us, comes, _, who in moves:
        if not comes:
            inside.remove(who)
            continue
        inside.append(who)
        # Whoever waits inside and is an ancestor of the one that came has lent it its unit.
        others = [each for each in inside if each not in _ancestors(ledger, who)]
        limit = _limit_at(evidence, gate, at_us)
        if len(others) > limit:
            yield Finding("C5", who, f"came into {gate.name} as number {len(others)} of {limit}")


def _ancestors(ledger: Ledger, invocation_id: InvocationId) -> set[InvocationId]:
    found: set[InvocationId] = set()
    life = ledger.lives.get(invocation_id)
    while life is not None and life.created is not None and life.created.what.parent is not None:
        parent = life.created.what.parent.invocation_id
        found.add(parent)
        life = ledger.lives.get(parent)
    return found


def _gates(life: Life) -> tuple[Gate, ...]:
    return () if life.created is None else life.created.what.gates


def _stays(life: Life, gate: SlotGate) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Yield when an invocation came into a gate and when it went, each as (time, 0 out or 1 in, index)."""
    ins = list(life.claims) + ([] if gate.hold_while_waiting else life.resumed)
    outs = sorted(_outs(life, gate))
    for mark in sorted(ins, key=lambda mark: mark.index):
        came = (mark.at_us, 1, mark.index)
        out = next((out for out in outs if out[0] > mark.at_us or (out[0] == mark.at_us and out[2] > mark.index)), None)
        if out is None or out[0] > mark.at_us:
            yield came, out if out is not None else (_END, 0, 0)


def _outs(life: Life, gate: SlotGate) -> Iterator[tuple[int, int, int]]:
    for mark in life.accepted:
        if not (isinstance(mark.what, Suspend) and gate.hold_while_waiting):
            yield mark.at_us, 0, mark.index
    for row in life.attempts:
        if row.reason in _LOST:
            yield row.ended_at_us, 0, _END
    if life.outcome is not None:
        yield life.outcome.ended_at_us, 0, _END


def _limit_at(evidence: Evidence, gate: SlotGate, at_us: int) -> int:
    """Return the highest limit in force at an instant: changes of the same instant count both ways."""
    limit, before = gate.limit, gate.limit
    for record in evidence.history.applied:
        if record.at_us > at_us or record.error is not None:
            continue
        if record.operation == "put_gate" and record.arguments[0].name == gate.name:
            setting: SlotSetting = record.arguments[0]
            before, limit = limit if record.at_us == at_us else 0, setting.limit
        elif record.operation == "clear_gate" and record.arguments[0] == gate.name:
            before, limit = limit if record.at_us == at_us else 0, gate.limit
    return max(limit, before)


def rates(evidence: Evidence, ledger: Ledger) -> Iterator[Finding]:
    """In every window of time no more start than its length allows, and a burst."""
    starts: dict[str, list[int]] = defaultdict(list)
    gates: dict[str, RateGate] = {}
    for life in ledger.lives.values():
        for gate in _gates(life):
            if isinstance(gate, RateGate):
                gates[gate.name] = gate
                starts[gate.name] += [claim.at_us for claim in life.claims]
    for name, gate in gates.items():
        interval_us, burst = _most_generous(evidence, gate)
        times = sorted(starts[name])
        for first in range(len(times)):
            for last in range(first, len(times)):
                number, window_us = last - first + 1, times[last] - times[first]
                if number > window_us // interval_us + burst:
                    yield Finding("C5", None, f"{number} starts within {window_us} us of {name}")
                    return


def _most_generous(evidence: Evidence, gate: RateGate) -> tuple[int, int]:
    settings = [record.arguments[0] for record in evidence.history.applied if record.operation == "put_gate"]
    mine = [each for each in settings if isinstance(each, RateSetting) and each.name == gate.name]
    interval_us = min([gate.interval_us, *(each.interval_us for each in mine)])
    return interval_us, max([gate.burst, *(each.burst for each in mine)])


def ordering(ledger: Ledger) -> Iterator[Finding]:
    """Nothing with an ordering key is claimed while one of its lane that comes before it stands there."""
    lanes: dict[tuple[object, ...], list[tuple[tuple[int, bytes], InvocationId, Life]]] = defaultdict(list)
    for invocation_id, life in ledger.lives.items():
        item: Submission | None = None if life.created is None else life.created.what
        if item is None or not life.claims or item.delay_us or item.after or item.parent or item.dedupe:
            continue
        if any(isinstance(gate, SlotGate) and gate.block_lane_on_retry for gate in item.gates):
            names = sorted((gate.name, gate.mode) for gate in item.gates)
            lane = (item.queue, item.flow.key if item.flow else None, *names)
            lanes[lane].append(((life.claims[0].what.rank, invocation_id), invocation_id, life))
    for members in lanes.values():
        members.sort(key=lambda member: member[0])
        for number, (_, first, earlier) in enumerate(members):
            for _, second, later in members[number + 1 :]:
                for claim in later.claims:
                    if _stood_there(earlier, claim):
                        yield Finding("C6", second, f"was claimed before {first.hex()}, which comes first")


def _stood_there(life: Life, claim: Mark) -> bool:
    """Whether an invocation was READY, or its retry delayed, when another one was claimed."""
    assert life.created is not None
    if life.created.index >= claim.index or (life.outcome is not None and life.outcome.ended_at_us <= claim.at_us):
        return False
    # What an exchange settles comes before what it claims.
    marks = [mark for mark in (*life.claims, *life.resumed) if mark.index < claim.index]
    marks += [mark for mark in life.accepted if mark.index <= claim.index]
    last = max(marks, key=lambda mark: (mark.index, not isinstance(mark.what, Suspend)), default=None)
    return last is None or not isinstance(last.what, Suspend)
