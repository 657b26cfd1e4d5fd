"""Keys by an order that may change."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeAlias, TypeVar

from pynenc.model.ids import InvocationId

Order: TypeAlias = tuple[int, InvocationId]
"""Rank (or another number), then id: the order of everything that can be claimed."""
K = TypeVar("K", bound=Hashable)


class Ordered(Generic[K]):
    """Keys with an order each; entries of the heap that no longer hold are dropped when they come up."""

    __slots__ = ("_count", "_heap", "_orders")

    def __init__(self) -> None:
        self._heap: list[tuple[Order, int, K]] = []
        self._orders: dict[K, Order] = {}
        self._count = 0

    def put(self, key: K, order: Order) -> None:
        """Add a key, or give it another order."""
        if self._orders.get(key) == order:
            return
        self._orders[key] = order
        self._count += 1
        heapq.heappush(self._heap, (order, self._count, key))

    def drop(self, key: K) -> None:
        """Remove a key; one that is not there is no error."""
        self._orders.pop(key, None)

    def first(self) -> K | None:
        """Return the key that comes first."""
        while self._heap:
            order, _, key = self._heap[0]
            if self._orders.get(key) == order:
                return key
            heapq.heappop(self._heap)
        return None

    def order_of(self, key: K) -> Order:
        return self._orders[key]

    def first_order(self) -> Order | None:
        """Return the order of the key that comes first."""
        key = self.first()
        return None if key is None else self._orders[key]

    def __iter__(self) -> Iterator[K]:
        """Yield the keys in order."""
        return iter(sorted(self._orders, key=self._orders.__getitem__))

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, key: K) -> bool:
        return key in self._orders
