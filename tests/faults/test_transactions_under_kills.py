"""A task submitted in a user's transaction exists if and only if that commits, whoever is killed in between."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.io import run
from pynenc.model.records import ListFilter
from tests.faults import liveness_app
from tests.faults.ordering import TABLE, connect
from tests.faults.records import keep
from tests.private_servers.postgresql import PgBouncer
from tests.private_servers.process import wait_until
from tests.servers import PostgresServer

KILLS = max(6, int(os.environ.get("PYNENC_TEST_FAULTS") or 0) // 6)
SEED = 7
APP = "orders"

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(120 + 30 * KILLS)]


class Place:
    """A store, and how to kill its server if it has one."""

    def __init__(self, url: str, server: PostgresServer | None) -> None:
        self.url = url
        self.server = server

    def restart(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.restart()


@contextmanager
def _sqlite(folder: Path) -> Iterator[Place]:
    yield Place(f"sqlite:///{folder / 'orders.db'}", None)


@contextmanager
def _postgresql(folder: Path) -> Iterator[Place]:
    with PostgresServer(folder / "server") as server:
        yield Place(server.url, server)


@contextmanager
def _pgbouncer(folder: Path) -> Iterator[Place]:
    with PostgresServer(folder / "server") as server, PgBouncer(folder / "pooler", server) as pooler:
        yield Place(f"{pooler.url}?pgbouncer=transaction", server)


STORES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "SQLite": ("normal", _sqlite),
    "PostgreSQL": ("full", _postgresql),
    "PostgreSQL, pgbouncer": ("full", _pgbouncer),
}


@pytest.mark.parametrize("store", STORES)
def test_orders_and_tasks_are_the_same_after_kills(tmp_path: Path, store: str) -> None:
    durability, open_place = STORES[store]
    rng = random.Random(SEED)
    log = tmp_path / "committed.log"
    log.touch()
    with open_place(tmp_path) as place:
        app = Pynenc(place.url, app_id=APP)
        run(app.backend.migrate())
        connection = connect(place.url)
        connection.execute(TABLE)
        connection.commit()
        connection.close()

        server_kills = 0
        for _ in range(KILLS):
            with _orders(place, log):
                # Where in a transaction it is hit is the randomness of this test.
                time.sleep(rng.uniform(0.0, 0.05))
                if place.server is not None and rng.random() < 0.3:
                    place.restart()
                    server_kills += 1

        connection = connect(place.url)
        stored = {row[0] for row in connection.execute("SELECT number FROM orders").fetchall()}
        connection.close()
        tasks = _tasks(app)
        findings = [str(each) for each in run(app.backend.orchestrator.verify())]
        app.close()
    committed = {int(line) for line in log.read_text().split()}
    findings += [f"order {number} has no task" for number in stored - tasks]
    findings += [f"the task of order {number} exists without it" for number in tasks - stored]
    findings += [f"order {number} was committed and is gone" for number in committed - stored]
    keep(
        *("check", store, durability, "transactions"),
        times=KILLS + server_kills,
        transactions=len(stored),
        findings=findings,
    )
    assert findings == []
    print(f"{store}: {len(stored)} orders, {KILLS} kills, {server_kills} of the server")


@contextmanager
def _orders(place: Place, log: Path) -> Iterator[None]:
    """Have orders taken; the body of the block begins once some are, and after it the program is killed."""
    before = log.stat().st_size
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.ordering", place.url, APP, str(log)], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: log.stat().st_size > before + 50)
        yield
    finally:
        program.kill()
        program.wait()


def _tasks(app: Pynenc) -> set[int]:
    """Return the numbers that tasks were submitted with."""
    deliver = app.task(liveness_app.double.func)
    found: set[int] = set()
    before = None
    while True:
        page = run(app.backend.state_backend.listing(ListFilter(before=before, limit=500)))
        arguments = [run(deliver.payloads.decode_arguments(each.call.arguments)) for each in page]
        found |= {int([*args, *kwargs.values()][0]) for args, kwargs in arguments}
        if len(page) < 500:
            return found
        before = page[-1].call.invocation_id
