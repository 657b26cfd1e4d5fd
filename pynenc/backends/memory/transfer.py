"""The memory store's port for moves: each operation is a function of `carrying`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pynenc.backends.memory import carrying
from pynenc.backends.memory.atomic import AtomicState
from pynenc.backends.memory.state import MemoryState
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.ports.transfer import Carried, CarriedData, Header, Seal, SealReply, Survey, Transfer

T = TypeVar("T")


class MemoryTransfer(Transfer):
    """One side of a move."""

    def __init__(self, store: AtomicState) -> None:
        self._store = store

    def _do(self, function: Callable[[MemoryState], T]) -> Op[T]:
        return self._store.atomic(lambda state, _: function(state), moving=True)

    def _change(self, mark: Seal, change: Callable[[MemoryState, int], None]) -> Op[None]:
        def guarded(state: MemoryState, now_us: int) -> None:
            carrying.require(state, mark)
            change(state, now_us)

        return self._store.atomic(guarded, moving=True)

    def survey(self) -> Op[Survey]:
        return self._do(carrying.survey)

    def seal(self, mark: Seal, *, instead_of: Seal | None) -> Op[SealReply]:
        return self._do(lambda state: carrying.seal(state, mark, instead_of))

    def unseal(self, mark: Seal) -> Op[bool]:
        return self._do(lambda state: carrying.unseal(state, mark))

    def header(self) -> Op[Header]:
        return self._do(carrying.header)

    def put_header(self, mark: Seal, header: Header) -> Op[None]:
        return self._change(mark, lambda state, _: carrying.put_header(state, header))

    def carry_out(self, after: InvocationId | None, limit: int) -> Op[list[Carried]]:
        return self._do(lambda state: carrying.carry_out(state, after, limit))

    def carry_in(self, mark: Seal, items: Sequence[Carried]) -> Op[None]:
        return self._change(mark, lambda state, now: carrying.carry_in(state, items, now))

    def data_out(self, after: bytes | None, limit: int) -> Op[list[CarriedData]]:
        return self._do(lambda state: carrying.data_out(state, after, limit))

    def data_in(self, mark: Seal, items: Sequence[CarriedData]) -> Op[None]:
        return self._change(mark, lambda state, _: carrying.data_in(state, items))

    def clear(self, mark: Seal) -> Op[None]:
        return self._change(mark, lambda state, _: carrying.clear(state))
