"""Tokens in order, of which a unit reads only as many as it needs."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from pynenc.backends.sqlite.gate_rows import Order
from pynenc.model.ids import InvocationId

K = TypeVar("K", int, str, bytes)

_BEFORE_ALL: Order = (-1, InvocationId(b""))
_MOST_AT_ONCE = 256


class Heads(ABC, Generic[K]):
    """Keys by order: those of the file, and on top of them what the unit has not written yet.

    Args:
        chunk: so many rows are read at first; twice as many each further time.
        all_read: nothing is in the file.
    """

    __slots__ = ("_all_read", "_chunk", "_entries", "_read_to")

    def __init__(self, *, chunk: int = 1, all_read: bool = False) -> None:
        self._chunk = chunk
        self._entries: list[tuple[Order, K]] = []
        self._read_to = _BEFORE_ALL
        self._all_read = all_read

    @abstractmethod
    def fetch(self, after: Order, most: int) -> Sequence[tuple[Order, K]]:
        """Read the next rows of the file after an order, at most so many."""

    @abstractmethod
    def holds(self, order: Order, key: K) -> bool:
        """Return whether an entry still says how things are; others are dropped when they come up."""

    def begin_with(self, order: Order, key: K) -> None:
        """Note what comes first in the file, which is known."""
        self.put(order, key)
        self._read_to = order

    def go_on_with(self, order: tuple[int | None, InvocationId], key: K) -> None:
        """Note what comes next in the file after that; None instead of a number: nothing."""
        if order[0] is None:
            self._all_read = True
        else:
            self._read_to = (order[0], order[1])
            self.put(self._read_to, key)

    def put(self, order: Order, key: K) -> None:
        """Add an entry."""
        heapq.heappush(self._entries, (order, key))

    def first(self) -> tuple[Order, K] | None:
        """Return the entry that comes first."""
        entries = self._entries
        while True:
            while entries and not self.holds(*entries[0]):
                heapq.heappop(entries)
            if entries and (self._all_read or entries[0][0] <= self._read_to):
                return entries[0]
            if self._all_read:
                return None
            self._read_on()

    def next_ids(self, most: int) -> list[InvocationId]:
        """Return ids of entries that were read, roughly the first ones."""
        return [entry[0][1] for entry in self._entries[:most]]

    def _read_on(self) -> None:
        rows = self.fetch(self._read_to, self._chunk)
        for order, key in rows:
            heapq.heappush(self._entries, (order, key))
        if len(rows) < self._chunk:
            self._all_read = True
        else:
            self._read_to = rows[-1][0]
        self._chunk = min(2 * self._chunk, _MOST_AT_ONCE)
