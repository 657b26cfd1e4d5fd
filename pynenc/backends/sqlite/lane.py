"""A lane, who is in it, and the indexes in which lanes are found."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from pynenc.backends.sqlite.gate_rows import Lenders, Order
from pynenc.backends.sqlite.heads import Heads

if TYPE_CHECKING:
    from pynenc.backends.sqlite.lanes import Lanes

COLUMNS = "id, key, queue, flow, parked, trial, rank, first, lenders"
_OF_LANE = ", ".join(f"lane.{each.strip()}" for each in COLUMNS.split(","))
# With the member after the first of each, which is the token once that has started.
READY_LANES = (
    f"SELECT {_OF_LANE}, m.rank, m.id FROM lane LEFT JOIN live m ON m.id = (SELECT id FROM live n "
    "WHERE n.queue = lane.queue AND n.lane = lane.id AND n.state = 1 AND n.owner IS NULL "
    "AND (n.rank, n.id) > (lane.rank, lane.first) ORDER BY n.rank, n.id LIMIT 1) "
    "WHERE lane.queue = ? AND parked IS NULL AND flow IS NULL AND (lane.rank, first) > (?, ?) "
    "ORDER BY lane.rank, first LIMIT ?"
)
PARKED_LANES = (
    f"SELECT {COLUMNS} FROM lane WHERE parked = ? AND queue = ? AND (rank, first) > (?, ?) ORDER BY rank, first LIMIT ?"
)
LANES_OF_FLOW = (
    f"SELECT {COLUMNS} FROM lane WHERE queue = ? AND flow = ? AND parked IS NULL AND (rank, first) > (?, ?) "
    "ORDER BY rank, first LIMIT ?"
)
_MEMBERS = (
    "SELECT rank, id FROM live WHERE queue = ? AND lane = ? AND state = 1 AND owner IS NULL AND (rank, id) > (?, ?) "
    "ORDER BY rank, id LIMIT ?"
)


class Lane:
    """READY invocations without an owner that the same gates stop."""

    __slots__ = (
        "flow",
        "gone",
        "is_new",
        "key",
        "left",
        "lenders",
        "members",
        "number",
        "parked",
        "placed",
        "queue",
        "trial",
    )

    def __init__(self, number: int, key: bytes, queue: int, flow: str | None, lenders: Lenders) -> None:
        self.number = number
        self.key = key
        self.queue = queue
        self.flow = flow
        self.lenders = lenders
        self.parked: str | None = None
        """The gate before which it waits; None: its token is in the index of its queue or flow."""
        self.trial: str | None = None
        """The gate whose freed unit it was let out to try."""
        self.placed: Order | None = None
        """Under which order its token is in an index."""
        self.members: Members
        self.left: set[bytes] = set()
        """Who is a member no more, whatever the file says."""
        self.is_new = False
        self.gone = False


class Members(Heads[bytes]):
    """The members of a lane in order."""

    __slots__ = ("_connection", "_left", "_which")

    def __init__(self, connection: sqlite3.Connection, lane: Lane, *, all_read: bool) -> None:
        super().__init__(all_read=all_read)
        self._connection = connection
        self._which = (lane.queue, lane.number)
        self._left = lane.left

    def fetch(self, after: Order, most: int) -> list[tuple[Order, bytes]]:
        rows = self._connection.execute(_MEMBERS, (*self._which, *after, most))
        return [((rank, each), each) for rank, each in rows]

    def holds(self, order: Order, key: bytes) -> bool:
        return key not in self._left


class Tokens(Heads[int]):
    """The tokens of lanes in one index, as numbers of lanes."""

    __slots__ = ("_known", "_lanes", "_parked", "_statement", "_which")

    def __init__(
        self, lanes: Lanes, statement: str, which: tuple[Any, ...], parked: str | None, *, chunk: int = 1
    ) -> None:
        super().__init__(chunk=chunk)
        self._lanes = lanes
        self._known = lanes.known
        self._statement = statement
        self._which = which
        self._parked = parked

    def fetch(self, after: Order, most: int) -> list[tuple[Order, int]]:
        return self._lanes.read_tokens(self._statement, (*self._which, *after, most))

    def holds(self, order: Order, key: int) -> bool:
        lane = self._known[key]
        return lane.placed == order and lane.parked == self._parked
