"""Where large arguments and results live."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from pynenc.io import Op


class ClientDataStore(Protocol):
    """Keeps bytes by their content.

    Written before the record that names them, so a reference without its data never exists. Every store of invocations
    has one; a store of its own, apart from them, says with its references where the data is.
    """

    @abstractmethod
    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        """Keep `data`, and return the reference that `get` takes.

        It is there whole, or not at all, whoever else writes the same; writing what is there already only keeps it for
        longer. Once this returned, it survives what a record survives.

        Args:
            key: BLAKE2b-256 of the data.

        Returns:
            The key; of a store apart from that of the invocations, the key and 1 to 16 bytes behind it, for which only
            this store has a meaning.

        Raises:
            StoreError: it is not kept.
        """

    def put_many(self, items: Sequence[tuple[bytes, bytes]]) -> Op[list[bytes]]:
        """Keep several values, each with its key; return their references, in order.

        A store for which one takes long keeps them at the same time. If it fails, some may be kept.

        Raises:
            StoreError: one of them is not kept.
        """
        references = []
        for key, data in items:
            references.append((yield from self.put(key, data)))
        return references

    @abstractmethod
    def get(self, reference: bytes) -> Op[bytes | None]:
        """Return the data, or None if there is none.

        Raises:
            StoreCorrupted: what is there is not what was written; names it. Nothing was changed.
        """

    @abstractmethod
    def collect(self, *, before_us: int) -> Op[int]:
        """Drop what was last written before this instant, by the clock that `put` goes by; return how many went.

        A store may keep some of it for up to a day longer. Repeating it is safe, also at the same moment.
        """
