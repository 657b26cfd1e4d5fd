"""The SQLite store's port for moves: each operation is a function of `carrying`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pynenc.backends.sqlite import carrying
from pynenc.backends.sqlite.requests import Store
from pynenc.backends.sqlite.sealing import require_seal
from pynenc.backends.sqlite.unit import Unit
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.ports.transfer import Carried, CarriedData, Header, Seal, SealReply, Survey, Transfer


class SqliteTransfer(Transfer):
    """One side of a move."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def _change(self, mark: Seal, change: Callable[[Unit], None]) -> Op[None]:
        def guarded(unit: Unit) -> None:
            require_seal(unit.connection, mark, self._store.database.path)
            change(unit)

        return self._store.write(guarded, sealed_too=True)

    def survey(self) -> Op[Survey]:
        return self._store.read(carrying.survey, sealed_too=True)

    def seal(self, mark: Seal, *, instead_of: Seal | None) -> Op[SealReply]:
        return self._store.write(lambda unit: carrying.seal(unit, mark, instead_of), sealed_too=True)

    def unseal(self, mark: Seal) -> Op[bool]:
        return self._store.write(lambda unit: carrying.unseal(unit, mark), sealed_too=True)

    def header(self) -> Op[Header]:
        return self._store.read(carrying.header, sealed_too=True)

    def put_header(self, mark: Seal, header: Header) -> Op[None]:
        return self._change(mark, lambda unit: carrying.put_header(unit, header))

    def carry_out(self, after: InvocationId | None, limit: int) -> Op[list[Carried]]:
        return self._store.read(lambda view: carrying.carry_out(view, after, limit), sealed_too=True)

    def carry_in(self, mark: Seal, items: Sequence[Carried]) -> Op[None]:
        return self._change(mark, lambda unit: carrying.carry_in(unit, items))

    def data_out(self, after: bytes | None, limit: int) -> Op[list[CarriedData]]:
        return self._store.read(lambda view: carrying.data_out(view, after, limit), sealed_too=True)

    def data_in(self, mark: Seal, items: Sequence[CarriedData]) -> Op[None]:
        return self._change(mark, lambda unit: carrying.data_in(unit, items))

    def clear(self, mark: Seal) -> Op[None]:
        return self._change(mark, carrying.clear)
