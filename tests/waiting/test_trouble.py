"""Coroutines wait while connections break, fall silent or are not there: nobody is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from pynenc.composition import open_backend
from pynenc.core.client import Client
from pynenc.errors import StoreError, StoreUnavailable
from pynenc.io import Op, run
from pynenc.model.records import Exchange, ExchangeReply
from pynenc.ports.passing import PassingOrchestrator
from tests.faults.proxy import FaultyProxy
from tests.servers import PostgresServer, RedisServer, url_of
from tests.waiting.scene import Scene, Waiter, all_waiting, wait_and_do

WAITERS = 2_000
IMPATIENT = "call_timeout_s=1.5&connect_timeout_s=1"


def forget_watches(served: str, app_id: str) -> None:
    """Take away what the server knows of watchers, as a crash of it may."""
    if served == "postgresql":
        with psycopg.connect(url_of(served), autocommit=True) as admin:
            admin.execute(f"DELETE FROM pynenc_{app_id}.watch")
        return
    with redis.Redis.from_url(url_of(served)) as admin:
        for kind in ("v", "y"):
            for key in admin.scan_iter(match=f"{{{app_id}}}:{kind}*"):
                admin.delete(key)


def test_thousands_outlive_their_connections_and_what_the_server_knew_of_them(
    served: str, behind: Scene, proxy: FaultyProxy
) -> None:
    ids = behind.submit(WAITERS)

    def cut_and_finish() -> None:
        forget_watches(served, behind.app_id)
        behind.finish(ids)
        proxy.break_all()

    assert asyncio.run(wait_and_do(behind.client, ids, cut_and_finish)) == ids


@pytest.mark.parametrize("options", [IMPATIENT])
def test_a_line_that_falls_silent_is_replaced(
    behind: Scene, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("redis.loop_doorbell.SILENT_S", 0.5), ("postgresql.loop_doorbell.ALIVE_S", 0.2)):
        monkeypatch.setattr(f"pynenc.backends.{name}", seconds)
    ids = behind.submit(20)

    def silence_and_finish() -> None:
        proxy.abandon_all()
        behind.finish(ids)

    assert asyncio.run(wait_and_do(behind.client, ids, silence_and_finish)) == ids


@pytest.mark.parametrize("options", [IMPATIENT])
def test_who_begins_to_wait_while_the_store_is_away_is_told_and_the_others_wait_on(
    behind: Scene, proxy: FaultyProxy
) -> None:
    ids = behind.submit(2)

    async def main() -> list[bytes]:
        [waiter] = await all_waiting(behind.client, ids[:1])
        proxy.hold()
        with pytest.raises(StoreUnavailable):
            await Waiter(behind.client, ids[1:]).begin()
        behind.finish(ids)
        proxy.heal()
        return await waiter.results()

    assert asyncio.run(main()) == ids[:1]


@pytest.fixture
def server(served: str, tmp_path: Path) -> Iterator[RedisServer | PostgresServer]:
    folder = tmp_path / "server"
    made = RedisServer(folder, appendfsync="always") if served == "redis" else PostgresServer(folder)
    with made as running:
        yield running


def test_coroutines_wait_across_a_restart_of_the_server(server: RedisServer | PostgresServer) -> None:
    backend = open_backend(server.url, app_id="restarted")
    scene = Scene(backend, backend)
    ids = scene.submit(200)

    def restart_and_finish() -> None:
        server.kill()
        server.restart()
        # What only reads may be sent again, on new connections.
        assert scene.sessions() == 1
        scene.finish(ids)

    assert asyncio.run(wait_and_do(scene.client, ids, restart_and_finish)) == ids
    scene.close()


def test_one_session_and_few_connections_serve_thousands(server: RedisServer | PostgresServer) -> None:
    backend = open_backend(f"{server.url}?pool_size=1", app_id="many")
    scene = Scene(backend, backend)
    ids = scene.submit(WAITERS)
    before, during = connections_to(server), 0

    def count_and_finish() -> None:
        nonlocal during
        during = connections_to(server)
        assert scene.sessions() == 1
        scene.finish(ids)

    results = asyncio.run(wait_and_do(scene.client, ids, count_and_finish))

    assert results == ids
    # One that tells, and one to ask with.
    assert during - before <= 2
    assert connections_to(server) == before
    scene.close()


def connections_to(server: RedisServer | PostgresServer) -> int:
    """Return how many clients the server counts, without the one that asks."""
    if isinstance(server, RedisServer):
        return int(server.ask("INFO", "clients")["connected_clients"]) - 1
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


class RefusingStore(PassingOrchestrator):
    """Refuses every exchange."""

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        raise StoreError("not here any more")


def test_a_wait_that_the_store_refuses_fails_and_leaves_nobody_asking(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pynenc.core.watches.LINGER_S", 0.05)
    client = Client(RefusingStore(scene.waiting.orchestrator), lease_us=100_000, name="refused")
    ids = scene.submit(1)

    async def main() -> None:
        [waiter] = await all_waiting(client, ids)
        with pytest.raises(StoreError, match="not here any more"):
            await waiter.results()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)

    asyncio.run(main())


@pytest.mark.parametrize("steps", range(0, 60, 3))
def test_a_cancellation_is_never_lost(steps: int, served: str, behind: Scene) -> None:
    """Whichever step of the event loop it comes in, while connections are made and requests sent."""
    [invocation_id] = behind.submit()

    async def main() -> bool:
        waiting = asyncio.create_task(wait_and_do(behind.client, [invocation_id], lambda: None))
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert asyncio.run(main())
    behind.finish([invocation_id])
    assert run(behind.direct.state_backend.outcomes([invocation_id]))[0] is not None
