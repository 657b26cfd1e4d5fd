"""A disk that is full: a clear error, nothing acknowledged is lost, and work goes on once there is space."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pynenc.composition import open_backend
from pynenc.errors import StoreError, StoreFull, StoreUnavailable
from pynenc.io import run
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import Submission
from pynenc.ports.backend import Backend
from tests.private_servers.disk import Disk
from tests.private_servers.postgresql import PostgresServer, server_account
from tests.private_servers.process import wait_until
from tests.servers import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="mounts file systems"),
]

PAYLOAD = random.Random(1).randbytes(200_000)
"""Nothing that can be compressed."""


def submit(backend: Backend) -> InvocationId:
    item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=PAYLOAD)
    run(backend.orchestrator.submit([item]))
    return item.invocation_id


@contextmanager
def _sqlite(disk: Disk, folder: Path) -> Iterator[str]:
    yield f"sqlite:///{disk.path / 'full.db'}?durability=full"


@contextmanager
def _redis(disk: Disk, folder: Path) -> Iterator[str]:
    with RedisServer(disk.folder("redis"), "everysec") as server:
        yield f"{server.url}?call_timeout_s=2"


@contextmanager
def _postgresql(disk: Disk, folder: Path) -> Iterator[str]:
    parent = disk.folder("postgresql", server_account())
    with PostgresServer(folder / "log", data_parent=parent, settings={"max_wal_size": "32MB"}) as server:
        yield f"{server.url}?call_timeout_s=2"


PLACES: dict[str, tuple[Callable[[Disk, Path], AbstractContextManager[str]], int]] = {
    "sqlite": (_sqlite, 30),
    "redis": (_redis, 30),
    "postgresql": (_postgresql, 160),
}
"""How to open a store on a disk of so many megabytes."""


@pytest.mark.parametrize("store", PLACES)
def test_a_full_disk_is_told_of_and_takes_nothing(tmp_path: Path, store: str) -> None:
    open_place, size_mb = PLACES[store]
    with Disk(size_mb) as disk, open_place(disk, tmp_path) as url:
        backend = open_backend(url, app_id="full")
        ballast = disk.path / "ballast"
        ballast.write_bytes(b"0" * 6_000_000)
        known = [submit(backend)]

        with pytest.raises((StoreFull, StoreUnavailable), match=r"disk|space"):
            _submit_until_refused(backend, known)
        ballast.unlink()

        wait_until(lambda: _accepts(backend, known))
        statuses = run(backend.state_backend.statuses(known))
        violations = run(backend.orchestrator.verify())
        backend.close()
    assert None not in statuses
    assert violations == []


def _submit_until_refused(backend: Backend, known: list[InvocationId]) -> None:
    for _ in range(2_000):
        known.append(submit(backend))


def _accepts(backend: Backend, known: list[InvocationId]) -> bool:
    try:
        known.append(submit(backend))
    except StoreError:
        return False
    return True
