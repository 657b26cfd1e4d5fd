"""Lanes: what is READY behind the same gates, and where each lane's token is.

The token of a lane is its first member, by (rank, id): it is in the index of its queue (or of its flow), or of the gate
before which the lane is parked. Which gates are open is the matter of `gating`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pynenc.backends.memory.ordered import Order, Ordered
from pynenc.model.gates import FlowSetting, Gate, GateSetting, SlotGate
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT

if TYPE_CHECKING:
    from pynenc.backends.memory.state import MemoryState, Record

MOST_ANCESTORS = 32
"""So far up a lender is looked for."""
FLOW_UNIT = 2520
FLOW_BASE = 2**43
"""Where virtual time begins: behind the sequence numbers of plain work in the same band."""

Lenders: TypeAlias = tuple[tuple[str, tuple[InvocationId, ...]], ...]
"""By gate: ancestors that keep its unit while they wait, the nearest first. Gates without any are left out."""
LaneKey: TypeAlias = tuple[str, str | None, tuple[tuple[str, int], ...], Lenders]
"""Queue, flow, names and modes of the gates, lenders."""


@dataclass(slots=True, eq=False)
class Lane:
    """READY invocations without an owner that the same gates stop."""

    key: LaneKey
    members: Ordered[InvocationId] = field(default_factory=Ordered)
    parked: str | None = None
    """The gate before which it waits; None: its token is in the index of its queue or flow."""
    trial: str | None = None
    """The gate whose freed unit it was let out to try."""
    placed: Order | None = None
    """Under which order its token is in an index."""

    @property
    def queue(self) -> str:
        return self.key[0]

    @property
    def flow(self) -> str | None:
        return self.key[1]

    @property
    def lenders(self) -> Lenders:
        return self.key[3]


@dataclass(slots=True)
class Share:
    """A flow of a queue, as long as one of its lanes is not parked."""

    lanes: Ordered[Lane] = field(default_factory=Ordered)
    tag: int | None = None
    """Virtual time at which its next start would be over."""


class Lanes:
    """Every lane, and the indexes that lead to their tokens."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self.settings: dict[str, GateSetting] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything but what was set."""
        self.lanes: dict[LaneKey, Lane] = {}
        self.blocked: dict[str, dict[str, Ordered[Lane]]] = {}
        """Parked lanes: by gate, by queue."""
        self.kin: dict[tuple[InvocationId, str], set[Lane | InvocationId]] = {}
        """What is parked before a gate and could pass it on a unit of this lender: lanes and resume tokens."""
        self.shares: dict[tuple[str, str], Share] = {}
        self.fair: dict[str, Ordered[str]] = {}
        """Flows that have a token: by queue."""
        self.virtual: dict[str, int] = {}

    # --- members ---

    def enter(self, record: Record) -> Lane:
        """Queue a READY invocation in its lane, a new one if need be; return the lane."""
        key = self._key_of(record)
        lane = self.lanes.setdefault(key, Lane(key))
        record.lane = lane
        lane.members.put(record.id, (record.rank, record.id))
        self.place(lane)
        return lane

    def leave(self, record: Record) -> Lane:
        """Take an invocation out of its lane, which goes with its last member; return the lane."""
        lane = record.lane
        assert lane is not None
        record.lane = None
        lane.members.drop(record.id)
        if lane.members:
            self.place(lane)
        else:
            self.unplace(lane)
            del self.lanes[lane.key]
        return lane

    def _key_of(self, record: Record) -> LaneKey:
        call = record.call
        gates = tuple((gate.name, int(gate.mode)) for gate in call.gates)
        flow = None if call.flow is None else call.flow.key
        return call.queue, flow, gates, self.lenders_of(record)

    def lenders_of(self, record: Record) -> Lenders:
        """Return the living ancestors that keep a unit of the same slots while they wait."""
        found: dict[str, list[InvocationId]] = {gate.name: [] for gate in record.call.gates if _is_slots(gate)}
        parent = record.call.parent_id
        for _ in range(MOST_ANCESTORS if found else 0):
            call = None if parent is None else self._state.calls.get(parent)
            if call is None:
                break
            if call.invocation_id in self._state.records:
                for gate in call.gates:
                    if gate.name in found and isinstance(gate, SlotGate) and gate.hold_while_waiting:
                        found[gate.name].append(call.invocation_id)
            parent = call.parent_id
        return tuple((name, tuple(ids)) for name, ids in found.items() if ids)

    # --- tokens ---

    def place(self, lane: Lane) -> None:
        """Put the token of a lane, its first member, where it belongs."""
        order = lane.members.first_order()
        if order == lane.placed or order is None:
            return
        lane.placed = order
        if lane.parked is not None:
            self.blocked.setdefault(lane.parked, {}).setdefault(lane.queue, Ordered()).put(lane, order)
        elif lane.flow is not None:
            self.shares.setdefault((lane.queue, lane.flow), Share()).lanes.put(lane, order)
            self._place_share(lane.queue, lane.flow)
        else:
            self._state.put_ready(lane.queue, order)

    def unplace(self, lane: Lane) -> None:
        """Take the token of a lane out of its index."""
        lane.placed = None
        if lane.parked is not None:
            self._unblock(lane, lane.parked)
        elif lane.flow is not None:
            self.shares[lane.queue, lane.flow].lanes.drop(lane)
            self._place_share(lane.queue, lane.flow)

    def _unblock(self, lane: Lane, gate: str) -> None:
        queues = self.blocked[gate]
        queues[lane.queue].drop(lane)
        if not queues[lane.queue]:
            del queues[lane.queue]
        if not queues:
            del self.blocked[gate]
        self.forget_kin(lane, gate, lane.lenders)

    def move(self, lane: Lane, parked: str | None, trial: str | None) -> None:
        """Park a lane before a gate, or let it out again."""
        self.unplace(lane)
        lane.parked = parked
        lane.trial = trial
        self.place(lane)
        if parked is not None:
            self.note_kin(lane, parked, lane.lenders)

    def note_kin(self, token: Lane | InvocationId, gate: str, lenders: Lenders) -> None:
        """Remember that a token parked before `gate` could pass it on the unit of a lender."""
        for lender in dict(lenders).get(gate, ()):
            self.kin.setdefault((lender, gate), set()).add(token)

    def forget_kin(self, token: Lane | InvocationId, gate: str, lenders: Lenders) -> None:
        """Undo `note_kin`."""
        for lender in dict(lenders).get(gate, ()):
            tokens = self.kin.get((lender, gate), set())
            tokens.discard(token)
            if not tokens:
                self.kin.pop((lender, gate), None)

    def holds(self, lane: Lane, order: Order) -> bool:
        """Whether an entry of the index of a queue is the token of this lane."""
        return lane.parked is None and lane.flow is None and lane.placed == order

    # --- flows ---

    def first_fair(self, queue: str) -> Order | None:
        """Return the token of the flow of a queue that comes first, under its tag."""
        flows = self.fair.get(queue)
        return None if flows is None else flows.first_order()

    def start(self, record: Record) -> Lane:
        """Take an invocation out of its lane because it starts: virtual time goes on, its flow gets another tag."""
        lane = record.lane
        assert lane is not None
        flow = (lane.queue, lane.flow or "")
        share = None if lane.flow is None else self.shares.get(flow)
        if share is not None and share.tag is not None:
            self.virtual[lane.queue] = max(self.virtual.get(lane.queue, FLOW_BASE), share.tag)
            share.tag = None
        self.leave(record)
        if flow in self.shares:
            self._place_share(*flow)
        return lane

    def _place_share(self, queue: str, key: str) -> None:
        share, flows = self.shares[queue, key], self.fair.setdefault(queue, Ordered())
        lane = share.lanes.first()
        if lane is None:
            flows.drop(key)
            del self.shares[queue, key]
            if not flows:
                del self.fair[queue]
                self.virtual.pop(queue, None)
            return
        rank, first = share.lanes.order_of(lane)
        if share.tag is None:
            share.tag = self.virtual.get(queue, FLOW_BASE) + self._cost(first, key)
        flows.put(key, (rank // BAND_UNIT * BAND_UNIT + min(share.tag, BAND_UNIT - 1), first))

    def _cost(self, first: InvocationId, key: str) -> int:
        setting = self.settings.get(f"flow:{key}")
        flow = self._state.records[first].call.flow
        assert flow is not None
        return FLOW_UNIT // (setting.weight if isinstance(setting, FlowSetting) else flow.weight)

    def first_parked(self, gate: str, queue: str) -> Lane | None:
        """Return the lane of a queue that is the first to be let out when a gate opens."""
        lanes = self.blocked.get(gate, {}).get(queue)
        return None if lanes is None else lanes.first()


def _is_slots(gate: Gate) -> bool:
    return isinstance(gate, SlotGate)
