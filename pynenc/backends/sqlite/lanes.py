"""Lanes: what is READY behind the same gates, and where each lane's token is.

The token of a lane is its first member, by (rank, id): it is in the index of its queue (or of its flow), or of the gate
before which the lane is parked. Which gates are open is the matter of `gating`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pynenc.backends.sqlite.flows import Flows
from pynenc.backends.sqlite.gate_rows import (
    GatedCall,
    Lenders,
    Order,
    decode_gates,
    decode_lenders,
    encode_lenders,
    lane_key,
)
from pynenc.backends.sqlite.lane import COLUMNS, LANES_OF_FLOW, PARKED_LANES, READY_LANES, Lane, Members, Tokens
from pynenc.backends.sqlite.rows import Live, select_in
from pynenc.model.gates import SlotGate
from pynenc.model.ids import InvocationId

if TYPE_CHECKING:
    from pynenc.backends.sqlite.unit import Unit

MOST_ANCESTORS = 32
"""So far up a lender is looked for."""


class Lanes:
    """Every lane that a unit needs, and the indexes that lead to their tokens."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._connection = unit.connection
        self.chunk = 1
        """So many tokens of a queue are read at once."""
        self.flows = Flows(unit, self)
        self.calls: dict[InvocationId, GatedCall] = {}
        self.known: dict[int, Lane] = {}
        self._by_key: dict[bytes, Lane] = {}
        self._absent: set[bytes] = set()
        """Keys under which the file has no lane."""
        self._changed: dict[int, Lane] = {}
        self._last: int | None = None
        self._ready: dict[int, Tokens] = {}
        self._parked: dict[tuple[str, int], Tokens] = {}
        self._parked_queues: dict[str, set[int]] = {}
        self._is_any_parked: bool | None = None

    # --- what members carry ---

    def call(self, invocation_id: InvocationId) -> GatedCall:
        """Return what a known invocation carries of gates."""
        call = self.calls.get(invocation_id)
        if call is None:
            self.load_calls((invocation_id,))
            call = self.calls[invocation_id]
        return call

    def load_calls(self, ids: Iterable[InvocationId]) -> None:
        """Read what these carry at once."""
        missing = [each for each in ids if each not in self.calls]
        rows = select_in(self._connection, "SELECT id, gates, parent FROM call WHERE id IN (*)", missing)
        for each, gates, parent in rows:
            self.calls[each] = GatedCall(*decode_gates(gates), parent)

    def lenders_of(self, call: GatedCall) -> Lenders:
        """Return the living ancestors that keep a unit of the same slots while they wait."""
        if call.parent is None:
            return ()
        found: dict[str, list[InvocationId]] = {gate.name: [] for gate in call.gates if isinstance(gate, SlotGate)}
        ancestor: InvocationId | None = call.parent
        for _ in range(MOST_ANCESTORS if found else 0):
            if ancestor is None:
                break
            self.load_calls((ancestor,))
            known = self.calls.get(ancestor)
            if known is None:
                break
            holding = [gate.name for gate in known.gates if isinstance(gate, SlotGate) and gate.hold_while_waiting]
            if holding and self._unit.live(ancestor) is not None:
                for name in holding:
                    if name in found:
                        found[name].append(ancestor)
            ancestor = known.parent
        return tuple((name, tuple(ids)) for name, ids in found.items() if ids)

    # --- members ---

    def enter(self, live: Live, call: GatedCall) -> Lane:
        """Queue a READY invocation in its lane, a new one if need be; return the lane."""
        lenders = self.lenders_of(call)
        return self.enter_under(lane_key(live.queue, call, lenders), live, call, lenders)

    def enter_under(self, key: bytes, live: Live, call: GatedCall, lenders: Lenders) -> Lane:
        """Queue a READY invocation in the lane of this key."""
        lane = self._of_key(key) or self._make(key, live.queue, call, lenders)
        live.lane = lane.number
        lane.left.discard(live.id)
        lane.members.put((live.rank, live.id), live.id)
        self.place(lane)
        return lane

    def leave(self, live: Live) -> Lane:
        """Take an invocation out of its lane, which goes with its last member; return the lane."""
        lane = self.lane_of(live)
        live.lane = None
        lane.left.add(live.id)
        if lane.members.first() is not None:
            self.place(lane)
        else:
            self.unplace(lane)
            lane.gone = True
            del self._by_key[lane.key]
            self._changed[lane.number] = lane
        return lane

    def lane_of(self, live: Live) -> Lane:
        """Return the lane of a member."""
        assert live.lane
        return self.lane(live.lane)

    def lane(self, number: int) -> Lane:
        """Return a lane by its number."""
        lane = self.known.get(number)
        if lane is None:
            row = self._connection.execute(f"SELECT {COLUMNS} FROM lane WHERE id = ?", (number,)).fetchone()
            lane = self._know(row)
        return lane

    def _of_key(self, key: bytes) -> Lane | None:
        lane = self._by_key.get(key)
        if lane is None and key not in self._absent:
            row = self._connection.execute(f"SELECT {COLUMNS} FROM lane WHERE key = ?", (key,)).fetchone()
            # One of this unit that is gone may still be in the file.
            if row is not None and row[0] not in self.known:
                lane = self._know(row)
        return lane

    def load_keys(self, keys: Iterable[bytes]) -> None:
        """Read the lanes of these keys at once."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._by_key]
        self._absent.update(missing)
        for row in select_in(self._connection, f"SELECT {COLUMNS} FROM lane WHERE key IN (*)", missing):
            if row[0] not in self.known:
                self._absent.discard(row[1])
                self._know(row)

    def _make(self, key: bytes, queue: int, call: GatedCall, lenders: Lenders) -> Lane:
        if self._last is None:
            self._last = self._connection.execute("SELECT coalesce(max(id), 0) FROM lane").fetchone()[0]
        self._unit.names.note_gated(self._connection, queue)
        assert self._last is not None
        self._last += 1
        lane = Lane(self._last, key, queue, None if call.flow is None else call.flow.key, lenders)
        lane.is_new = True
        self._remember(lane, all_read=True)
        return lane

    def _know(self, row: tuple[Any, ...]) -> Lane:
        """Return the lane of a row, as the unit knows it."""
        number, key, queue, flow, parked, trial, rank, first, lenders, *second = row
        if number in self.known:
            return self.known[number]
        lane = Lane(number, key, queue, flow, decode_lenders(lenders))
        lane.parked, lane.trial, lane.placed = parked, trial, (rank, first)
        self._remember(lane)
        if second:
            lane.members.go_on_with((second[0], second[1]), second[1])
        return lane

    def _remember(self, lane: Lane, *, all_read: bool = False) -> None:
        lane.members = Members(self._connection, lane, all_read=all_read)
        if lane.placed is not None:
            lane.members.begin_with(lane.placed, lane.placed[1])
        self.known[lane.number] = self._by_key[lane.key] = lane

    # --- tokens ---

    def place(self, lane: Lane) -> None:
        """Put the token of a lane, its first member, where it belongs."""
        head = lane.members.first()
        if head is None or head[0] == lane.placed:
            return
        order = lane.placed = head[0]
        self._changed[lane.number] = lane
        if lane.parked is not None:
            self.parked(lane.parked, lane.queue).put(order, lane.number)
            self._queues_before(lane.parked).add(lane.queue)
            self._is_any_parked = True
        elif lane.flow is not None:
            self.flows.put(lane.queue, lane.flow, order, lane.number)
        else:
            self.ready(lane.queue).put(order, lane.number)

    def unplace(self, lane: Lane) -> None:
        """Take the token of a lane out of its index."""
        lane.placed = None
        self._changed[lane.number] = lane
        if lane.parked is not None:
            self.forget_kin(lane.number, b"", lane.parked, lane.lenders)
        elif lane.flow is not None:
            self.flows.place(lane.queue, lane.flow)

    def move(self, lane: Lane, parked: str | None, trial: str | None) -> None:
        """Park a lane before a gate, or let it out again."""
        self.unplace(lane)
        lane.parked = parked
        lane.trial = trial
        self.place(lane)
        if parked is not None:
            self.note_kin(lane.number, b"", parked, lane.lenders)

    def clear_trial(self, lane: Lane) -> None:
        """Note that a lane tries nothing any more."""
        lane.trial = None
        self._changed[lane.number] = lane

    def ready(self, queue: int) -> Tokens:
        """Return the tokens that are in the index of a queue."""
        tokens = self._ready.get(queue)
        if tokens is None:
            tokens = self._ready[queue] = Tokens(self, READY_LANES, (queue,), None, chunk=self.chunk)
        return tokens

    def of_flow(self, queue: int, flow: str) -> Tokens:
        """Return the tokens of a flow."""
        return Tokens(self, LANES_OF_FLOW, (queue, flow), None)

    def parked(self, gate: str, queue: int) -> Tokens:
        """Return the tokens of a queue that are parked before a gate."""
        tokens = self._parked.get((gate, queue))
        if tokens is None:
            tokens = self._parked[gate, queue] = Tokens(self, PARKED_LANES, (gate, queue), gate)
        return tokens

    def trying(self, gate: str, queue: int) -> set[int]:
        """Return the lanes of a queue that were let out to try a gate."""
        statement = f"SELECT {COLUMNS} FROM lane WHERE trial = ? AND queue = ?"
        lanes = [self._know(row) for row in self._connection.execute(statement, (gate, queue)).fetchall()]
        return {lane.number for lane in lanes if lane.trial == gate and not lane.gone}

    def read_tokens(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Order, int]]:
        """Read lanes that a statement finds; return their tokens."""
        rows = self._connection.execute(statement, values).fetchall()
        for row in rows:
            self._know(row)
        return [((row[6], row[7]), row[0]) for row in rows]

    def queues_before(self, gate: str) -> list[int]:
        """Return the queues of which lanes are parked before a gate, by name."""
        if not self.any_parked():
            return []
        name = self._unit.names.name
        found = [queue for queue in self._queues_before(gate) if self.parked(gate, queue).first() is not None]
        return sorted(found, key=lambda queue: name(self._connection, queue))

    def any_parked(self) -> bool:
        """Return whether any lane is parked before any gate."""
        if self._is_any_parked is None:
            found = self._connection.execute("SELECT min(parked) FROM lane WHERE parked IS NOT NULL")
            self._is_any_parked = found.fetchone()[0] is not None
        return self._is_any_parked

    def _queues_before(self, gate: str) -> set[int]:
        known = self._parked_queues.get(gate)
        if known is None:
            known = self._parked_queues[gate] = set()
            # One seek for each queue, however many lanes it has there.
            queue = -1
            while queue is not None:
                found = "SELECT min(queue) FROM lane WHERE parked = ? AND queue > ?"
                queue = self._connection.execute(found, (gate, queue)).fetchone()[0]
                if queue is not None:
                    known.add(queue)
        return known

    # --- whose unit could be borrowed ---

    def note_kin(self, lane: int, invocation_id: bytes, gate: str, lenders: Lenders) -> None:
        """Remember that what is parked before `gate`, a lane or a resumable invocation, could pass it on the unit of a
        lender."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO kin (lender, gate, lane, id) VALUES (?,?,?,?)",
            [(lender, gate, lane, invocation_id) for lender in dict(lenders).get(gate, ())],
        )

    def forget_kin(self, lane: int, invocation_id: bytes, gate: str, lenders: Lenders) -> None:
        """Undo `note_kin`."""
        self._connection.executemany(
            "DELETE FROM kin WHERE lender = ? AND gate = ? AND lane = ? AND id = ?",
            [(lender, gate, lane, invocation_id) for lender in dict(lenders).get(gate, ())],
        )

    def kin(self, lender: InvocationId, gate: str) -> tuple[list[InvocationId], list[Lane]]:
        """Return what could pass a gate on the unit of a lender: resumable invocations, and lanes in order."""
        rows = self._connection.execute("SELECT lane, id FROM kin WHERE lender = ? AND gate = ?", (lender, gate))
        found = rows.fetchall()
        lanes = [self.lane(number) for number, _ in found if number]
        return [each for number, each in found if not number], sorted(lanes, key=_placed)

    # --- writing ---

    def flush(self) -> None:
        """Write what was changed."""
        changed, self._changed = self._changed, {}
        new, old, gone = [], [], []
        for lane in changed.values():
            if lane.gone:
                if not lane.is_new:
                    gone.append((lane.number,))
                continue
            assert lane.placed is not None
            if lane.is_new:
                key = (lane.number, lane.key, lane.queue, lane.flow, lane.parked, lane.trial)
                new.append((*key, *lane.placed, encode_lenders(lane.lenders)))
                lane.is_new = False
            else:
                old.append((lane.parked, lane.trial, *lane.placed, lane.number))
        # In this order: a lane may come again under the key of one that goes.
        self._connection.executemany("DELETE FROM lane WHERE id = ?", gone)
        self._connection.executemany("UPDATE lane SET parked=?, trial=?, rank=?, first=? WHERE id=?", old)
        self._connection.executemany(f"INSERT INTO lane ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", new)
        self.flows.flush()


def _placed(lane: Lane) -> Order:
    assert lane.placed is not None
    return lane.placed
