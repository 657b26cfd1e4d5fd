"""What the tests of moves say to two stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynenc.core.moving import Move
from pynenc.errors import StoreSealed
from pynenc.io import run
from pynenc.ports.backend import Backend
from pynenc.ports.transfer import Carried, CarriedData, Header, Seal, SealReply, SealState
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.population import populate
from pynenc.testing.contracts.store import Store
from tests import stores

KINDS = ("memory", "sqlite", "redis", "redis-cluster", "postgresql")


@contextmanager
def pair(source: str, target: str, folder: Path, clock: FakeClock | None = None) -> Iterator[tuple[Backend, Backend]]:
    """Open two fresh stores."""
    clock = clock or FakeClock()
    with stores.fresh_store(source, folder, clock) as one, stores.fresh_store(target, folder, clock) as other:
        yield one, other


def words(backend: Backend, clock: FakeClock | None = None) -> Store:
    """Return a store to talk to."""
    return Store(backend, run, clock or FakeClock())


def filled(backend: Backend, clock: FakeClock) -> Content:
    """Put something of everything into a store; return what is in it."""
    populate(words(backend, clock))
    return content(backend)


Content = tuple[Header, list[Carried], list[CarriedData]]


def content(backend: Backend) -> Content:
    """Return everything that a store holds."""
    return run(backend.transfer.header()), invocations(backend), data(backend)


def invocations(backend: Backend) -> list[Carried]:
    found: list[Carried] = []
    while page := run(backend.transfer.carry_out(found[-1].snapshot.call.invocation_id if found else None, 7)):
        found += page
    return found


def data(backend: Backend) -> list[CarriedData]:
    return run(backend.transfer.data_out(None, 1_000))


def is_open(backend: Backend) -> bool:
    """Whether a runner would get work from this store."""
    try:
        run(backend.orchestrator.queue_stats())
    except StoreSealed:
        return False
    return True


def seal_of(backend: Backend) -> SealState | None:
    seal = run(backend.transfer.survey()).seal
    return seal.state if seal else None


def move(source: Backend, target: Backend, **options: Any) -> None:
    Move(source, target, **options).carry()


def load(backend: Backend, given: Content | None) -> None:
    """Make an open store hold exactly this, whatever it held and whatever seal it had."""
    transfer = backend.transfer
    seal = run(transfer.survey()).seal
    mark = Seal(SealState.LEAVING, "load", "test://")
    assert run(transfer.seal(mark, instead_of=seal)) is SealReply.SEALED
    run(transfer.clear(mark))
    if given is not None:
        header, items, values = given
        run(transfer.put_header(mark, header))
        run(transfer.carry_in(mark, items))
        run(transfer.data_in(mark, values))
    assert run(transfer.unseal(mark))
