"""Which bodies a worker process runs: memory that survives the worker.

A worker tells its runner of several bodies in one frame, so when it dies the runner would not know which of them it
ran. Writing here costs a fraction of a microsecond per body.
"""

from __future__ import annotations

import mmap
import os
from struct import Struct as Layout

from pynenc.model.ids import Epoch, InvocationId
from pynenc.runners.shared_memory import new_memory

Key = tuple[InvocationId, Epoch]

_RECORD = Layout(">16sQ")
_NOBODY = b"\0" * _RECORD.size
# Bodies that were just resumed may hold a slot beside those that are about to give theirs back.
_RECORDS_PER_SLOT = 2


class NowRunning:
    """The memory, seen from either side: a record for each running body.

    Args:
        descriptor: of memory from `new_page`.
    """

    def __init__(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self._page = mmap.mmap(descriptor, size)
        self._size = size
        self._offsets: dict[Key, int] = {}
        self._free = list(range(size - _RECORD.size, -1, -_RECORD.size))

    # --- the worker's side; safe for threads: each step is one operation of a list or a dict ---

    def note(self, invocation_id: InvocationId, epoch: Epoch) -> None:
        """Note that this body runs from now on."""
        key = (invocation_id, epoch)
        if key in self._offsets or not self._free:
            return
        self._offsets[key] = offset = self._free.pop()
        _RECORD.pack_into(self._page, offset, invocation_id, epoch)

    def clear(self, invocation_id: InvocationId, epoch: Epoch) -> None:
        """Note that this body stands still, or is over."""
        offset = self._offsets.pop((invocation_id, epoch), None)
        if offset is not None:
            self._page[offset : offset + _RECORD.size] = _NOBODY
            self._free.append(offset)

    # --- the runner's side ---

    def names(self) -> set[Key]:
        """Return the bodies that run, or ran when the worker died."""
        records = _RECORD.iter_unpack(self._page[: self._size])
        return {(InvocationId(number), Epoch(epoch)) for number, epoch in records if epoch}

    def close(self) -> None:
        self._page.close()


def new_page(slots: int) -> int:
    """Return the descriptor of empty memory for a worker of so many slots, for both sides to map."""
    return new_memory("pynenc-now-running", _RECORD.size * slots * _RECORDS_PER_SLOT)
