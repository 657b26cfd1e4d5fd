"""Shares of flows in their queue: which flow's turn it is, by self-clocked fair queueing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynenc.backends.sqlite.gate_rows import Order
from pynenc.backends.sqlite.heads import Heads
from pynenc.model.gates import FlowSetting
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT

if TYPE_CHECKING:
    from pynenc.backends.sqlite.lane import Lane
    from pynenc.backends.sqlite.lanes import Lanes
    from pynenc.backends.sqlite.unit import Unit

FLOW_UNIT = 2520
FLOW_BASE = 2**43
"""Where virtual time begins: behind the sequence numbers of plain work in the same band."""

_IN_ORDER = (
    "SELECT rank, first, flow FROM share WHERE queue = ? AND (rank, first) > (?, ?) ORDER BY rank, first LIMIT ?"
)


class Share:
    """A flow of a queue, as long as one of its lanes is not parked."""

    __slots__ = ("lanes", "placed", "tag")

    def __init__(self, lanes: Heads[int], tag: int | None, placed: Order | None) -> None:
        self.lanes = lanes
        self.tag = tag
        """Virtual time at which its next start would be over."""
        self.placed = placed


class Turns(Heads[str]):
    """The flows of a queue in the order of their turns."""

    __slots__ = ("_flows", "_queue")

    def __init__(self, flows: Flows, queue: int) -> None:
        super().__init__()
        self._flows = flows
        self._queue = queue

    def fetch(self, after: Order, most: int) -> list[tuple[Order, str]]:
        return self._flows.read_turns(self._queue, after, most)

    def holds(self, order: Order, key: str) -> bool:
        share = self._flows.share(self._queue, key)
        return share is not None and share.placed == order


class Flows:
    """The shares that a unit needs."""

    def __init__(self, unit: Unit, lanes: Lanes) -> None:
        self._unit = unit
        self._connection = unit.connection
        self._lanes = lanes
        self._shares: dict[tuple[int, str], Share | None] = {}
        self._changed: dict[tuple[int, str], None] = {}
        self._order: dict[int, Turns] = {}
        self._virtual: dict[int, int | None] = {}
        self._moved: set[int] = set()

    def share(self, queue: int, flow: str) -> Share | None:
        """Return a flow that has a token."""
        key = (queue, flow)
        if key not in self._shares:
            row = self._connection.execute("SELECT tag, rank, first FROM share WHERE queue = ? AND flow = ?", key)
            found = row.fetchone()
            self._shares[key] = (
                None if found is None else Share(self._lanes.of_flow(queue, flow), found[0], (found[1], found[2]))
            )
        return self._shares[key]

    def order(self, queue: int) -> Turns:
        """Return the flows of a queue in the order of their turns."""

        if queue not in self._order:
            self._order[queue] = Turns(self, queue)
        return self._order[queue]

    def read_turns(self, queue: int, after: Order, most: int) -> list[tuple[Order, str]]:
        """Read the flows of a queue that come after an order."""
        rows = self._connection.execute(_IN_ORDER, (queue, *after, most))
        return [((rank, first), flow) for rank, first, flow in rows]

    def put(self, queue: int, flow: str, order: Order, lane: int) -> None:
        """Add the token of a lane to its flow."""
        share = self.share(queue, flow)
        if share is None:
            share = self._shares[queue, flow] = Share(self._lanes.of_flow(queue, flow), None, None)
        share.lanes.put(order, lane)
        self.place(queue, flow)

    def place(self, queue: int, flow: str) -> None:
        """Give a flow the place that its first token has, or forget it if it has none."""
        share = self.share(queue, flow)
        if share is None:
            return
        self._changed[queue, flow] = None
        head = share.lanes.first()
        if head is None:
            self._shares[queue, flow] = None
            if self.order(queue).first() is None:
                self._set_virtual(queue, None)
            return
        rank, first = head[0]
        if share.tag is None:
            share.tag = self.virtual(queue) + self._cost(first, flow)
        share.placed = (rank // BAND_UNIT * BAND_UNIT + min(share.tag, BAND_UNIT - 1), first)
        self.order(queue).put(share.placed, flow)

    def begin(self, lane: Lane) -> None:
        """Before a member of a lane starts: let virtual time go on, and the tag of its flow be a new one."""
        share = None if lane.flow is None else self.share(lane.queue, lane.flow)
        if share is not None and share.tag is not None:
            self._set_virtual(lane.queue, max(self.virtual(lane.queue), share.tag))
            share.tag = None

    def virtual(self, queue: int) -> int:
        """Return how far the shares of a queue have come."""
        if queue not in self._virtual:
            row = self._connection.execute("SELECT virtual FROM queue WHERE id = ?", (queue,)).fetchone()
            self._virtual[queue] = None if row is None else row[0]
        known = self._virtual[queue]
        return FLOW_BASE if known is None else known

    def _set_virtual(self, queue: int, virtual: int | None) -> None:
        self._virtual[queue] = virtual
        self._moved.add(queue)

    def _cost(self, first: InvocationId, key: str) -> int:
        setting = self._unit.gating.settings.get(f"flow:{key}")
        flow = self._lanes.call(first).flow
        assert flow is not None
        return FLOW_UNIT // (setting.weight if isinstance(setting, FlowSetting) else flow.weight)

    def flush(self) -> None:
        """Write what was changed."""
        if not self._changed and not self._moved:
            return
        changed, self._changed = self._changed, {}
        moved, self._moved = self._moved, set()
        shares = [(key, self._shares[key]) for key in changed]
        self._connection.executemany(
            "DELETE FROM share WHERE queue = ? AND flow = ?", [key for key, share in shares if share is None]
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO share (queue, flow, tag, rank, first) VALUES (?,?,?,?,?)",
            [(*key, share.tag, *(share.placed or ())) for key, share in shares if share is not None],
        )
        self._connection.executemany(
            "UPDATE queue SET virtual = ? WHERE id = ?", [(self._virtual[queue], queue) for queue in moved]
        )
