"""Where large arguments and results live."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from pynenc.io import Op


class ClientDataStore(Protocol):
    """Keeps bytes under the hash of their content.

    Written before the record that names it, so a reference without its data never exists; writing the same
    bytes again changes nothing but their age.
    """

    @abstractmethod
    def put(self, key: bytes, data: bytes) -> Op[None]:
        """Keep `data` under `key` (its BLAKE2b-256)."""

    @abstractmethod
    def get(self, key: bytes) -> Op[bytes | None]:
        """Return the data, or None if there is none."""

    @abstractmethod
    def collect(self, *, keep: Sequence[bytes], older_than_us: int) -> Op[int]:
        """Drop what was last written more than `older_than_us` ago and is not in `keep`; return how many."""
