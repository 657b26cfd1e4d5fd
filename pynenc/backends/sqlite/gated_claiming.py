"""Claims from queues that have lanes: one at a time, because each start may close a gate, or open one for others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from pynenc.backends.sqlite.ending import end, expire
from pynenc.backends.sqlite.gate_rows import GatedCall, Order, decode_gates
from pynenc.backends.sqlite.heads import Heads
from pynenc.backends.sqlite.rows import GATED, LIVE_COLUMNS, Live, select_in
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.gates import Gate, GateMode, SlotGate, keep_order
from pynenc.model.ids import InvocationId
from pynenc.model.status import InvocationStatus

MOST_LOOKS = 256
"""So many closed gates a claim meets before it leaves the rest to the next one."""

Row: TypeAlias = tuple[Any, ...]
"""The columns of `live`, then those of `call` that a claim hands out, then the gates."""

_CALL_PART = "c.task_id, c.arguments, c.policy, c.meta, c.parent, c.root, c.gates"
_LIVE_NUMBER = len(LIVE_COLUMNS.split(","))
_WHAT = f"SELECT {', '.join(f'l.{each.strip()}' for each in LIVE_COLUMNS.split(','))}, {_CALL_PART} "
_THESE = f"{_WHAT} FROM live l JOIN call c ON c.id = l.id WHERE l.id IN (*)"
_NEEDED = "(c.parent IS NOT NULL OR EXISTS (SELECT 1 FROM wait WHERE waited = l.id))"
_PLAIN = (
    "SELECT l.rank, l.id FROM live l WHERE l.queue = ? AND l.lane IS NULL AND l.state = 1 AND l.owner IS NULL "
    "AND (l.rank, l.id) > (?, ?) ORDER BY l.rank, l.id LIMIT ?"
)
_PLAIN_NEEDED = _PLAIN.replace("FROM live l", "FROM live l JOIN call c ON c.id = l.id").replace(
    "ORDER BY", f"AND {_NEEDED} ORDER BY"
)
_GATED_NEEDED = (
    "SELECT l.rank, l.id FROM live l JOIN call c ON c.id = l.id WHERE l.queue = ? AND l.lane > 0 AND l.flags & 65 "
    f"AND (l.rank, l.id) > (?, ?) AND {_NEEDED} ORDER BY l.rank, l.id LIMIT ?"
)


class Alone(Heads[bytes]):
    """READY invocations of a queue that are looked at one by one."""

    __slots__ = ("_connection", "_done", "_number", "_statement")

    def __init__(
        self, connection: sqlite3.Connection, statement: str, number: int, done: set[InvocationId], *, chunk: int
    ) -> None:
        super().__init__(chunk=chunk)
        self._connection = connection
        self._statement = statement
        self._number = number
        self._done = done

    def fetch(self, after: Order, most: int) -> list[tuple[Order, bytes]]:
        rows = self._connection.execute(self._statement, (self._number, *after, most))
        return [((rank, each), each) for rank, each in rows]

    def holds(self, order: Order, key: bytes) -> bool:
        return key not in self._done


class GatedClaim:
    """One claim from some queues.

    Args:
        queues: their numbers, and whether they have lanes.
        want: most invocations to take, at least 1.
        before: only those of a lower rank; None for any.
        awaited: only those that somebody waits for or comes after, and children.
        take: makes the session own these rows, which are like those of plain work.
    """

    def __init__(
        self,
        unit: Unit,
        queues: Sequence[tuple[int, bool]],
        want: int,
        before: int | None,
        *,
        awaited: bool,
        take: Callable[[Sequence[Row]], None],
    ) -> None:
        self.looked = 0
        self._unit = unit
        self._queues = queues
        self._want = want
        self._before = before
        self._awaited = awaited
        self._take = take
        self._rows: dict[InvocationId, Row] = {}
        self._lives: dict[InvocationId, Live] = {}
        self._done: set[InvocationId] = set()
        """Those that were taken, have ended or were passed over."""
        self._taken: list[Row] = []
        self._written = 0
        # One more than is wanted: whether there is more decides whom to wake.
        self._chunk = unit.gating.lanes.chunk = min(want, 255) + 1
        self._sources = self._open()

    def run(self) -> list[Row]:
        """Take what comes first, as long as there is something; return rows, like those of plain work, as they were."""
        while len(self._taken) < self._want and self.looked < MOST_LOOKS:
            found = self._first()
            if found is None or (self._before is not None and found[4] >= self._before):
                break
            self._try(found)
        self._write()
        if len(self._taken) == self._want and not self._awaited:
            self._wake_another()
        return self._taken

    # --- what comes first ---

    def _open(self) -> list[Heads[Any]]:
        lanes = self._unit.gating.lanes
        sources: list[Heads[Any]] = []
        for number, gated in self._queues:
            sources.append(self._alone(_PLAIN_NEEDED if self._awaited else _PLAIN, number))
            if gated and self._awaited:
                sources.append(self._alone(_GATED_NEEDED, number))
            elif gated:
                sources += [lanes.ready(number), lanes.flows.order(number)]
        return sources

    def _alone(self, statement: str, number: int) -> Alone:
        return Alone(self._unit.connection, statement, number, self._done, chunk=self._chunk)

    def _first(self) -> Row | None:
        heads = [head[0] for source in self._sources if (head := source.first()) is not None]
        return self._row(min(heads)[1]) if heads else None

    def _row(self, invocation_id: InvocationId) -> Row:
        row = self._rows.get(invocation_id)
        if row is None:
            # Those that come up after it, as far as they were read, are read with it.
            ahead = [each for source in self._sources for each in source.next_ids(self._want - len(self._taken))]
            self._read({invocation_id, *ahead} - self._rows.keys())
            row = self._rows[invocation_id]
        return row

    def _read(self, ids: Iterable[InvocationId]) -> None:
        names: list[str] = []
        for row in select_in(self._unit.connection, _THESE, list(ids)):
            self._rows[row[0]] = row
            if row[22] & GATED:
                gates, flow = decode_gates(row[-1])
                self._unit.gating.lanes.calls[row[0]] = GatedCall(gates, flow, row[-3])
                names += [gate.name for gate in gates if isinstance(gate, SlotGate)]
        self._unit.gating.holders.load_numbers(names)

    # --- what becomes of it ---

    def _try(self, found: Row) -> None:
        unit, gating = self._unit, self._unit.gating
        row = self._row(in_turn(unit, self._live(found))) if self._awaited else found
        live = self._live(row)
        if live.expires_at is not None and live.expires_at <= unit.now:
            expire(unit, live)
            self._start_afresh(live.id)
            return
        gate = gating.closed(live) if live.flags & GATED else None
        if gate is None:
            if live.flags & GATED:
                gating.start(live)
            self._done.add(live.id)
            self._taken.append(_as_plain(row))
            return
        self.looked += 1
        if gate.mode is GateMode.REJECT:
            reject(unit, live, gate)
            self._start_afresh(live.id)
        elif self._awaited:
            self._done.add(found[0])
        else:
            gating.park(live, gate)

    def _live(self, row: Row) -> Live:
        live = self._lives.get(row[0])
        if live is None:
            live = self._lives[row[0]] = Live(*row[:_LIVE_NUMBER])
            self._unit.adopt(live)
        return live

    def _start_afresh(self, ended: InvocationId) -> None:
        """Look anew after an end, which may have let others become READY."""
        self._done.add(ended)
        self._write()
        self._unit.flush()
        self._rows.clear()
        self._lives.clear()
        self._sources = self._open()

    def _write(self) -> None:
        self._take(self._taken[self._written :])
        self._written = len(self._taken)

    def _wake_another(self) -> None:
        """Wake one more session if a lane has more to claim: its token woke only the one that claims now."""
        row = self._first()
        if row is not None and row[22] & GATED and self._unit.gating.closed(self._live(row)) is None:
            self._unit.wake_for(row[3])


def _as_plain(row: Row) -> Row:
    """Return the columns that claims of plain work read, in their order."""
    return (row[0], *row[4:8], row[14], row[12], row[22], row[3], *row[_LIVE_NUMBER:-1])


def in_turn(unit: Unit, live: Live) -> InvocationId:
    """Return who has to go first for this one to come: with an ordering key the first of its lane."""
    lanes = unit.gating.lanes
    if not live.lane or not keep_order(lanes.call(live.id).gates):
        return live.id
    head = lanes.lane_of(live).members.first()
    assert head is not None
    return head[0][1]


def reject(unit: Unit, live: Live, gate: Gate) -> None:
    """End an invocation that a gate stops and may not wait."""
    end(unit, live, InvocationStatus.CONCURRENCY_CONTROLLED_FINAL, reason=f"{gate.name} was closed")
