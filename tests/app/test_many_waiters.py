"""Thousands wait for results in one process: told over one connection, and coroutines without any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from pynenc import Pynenc
from tests.faults import liveness_app
from tests.faults.processes import RunnerProcess
from tests.private_servers.process import wait_until
from tests.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COROUTINES = 5_000
THREADS = 300
WAIT_S = 200.0

Server = RedisServer | PostgresServer


@pytest.fixture(params=["redis", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    made: Server = RedisServer(tmp_path / "s") if request.param == "redis" else PostgresServer(tmp_path / "s")
    with made as running:
        yield running


@pytest.fixture
def app(server: Server) -> Iterator[Pynenc]:
    made = Pynenc(f"{server.url}?pool_size=1&call_timeout_s=60", app_id="liveness")
    yield made
    made.close()


def connections_to(server: Server) -> int:
    """Return how many clients the server counts, without the one that asks."""
    if isinstance(server, RedisServer):
        return int(server.ask("INFO", "clients")["connected_clients"]) - 1
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def watched(server: Server) -> int:
    """Return how many invocations somebody waits for, as the store sees it."""
    if isinstance(server, RedisServer):
        return int(server.ask("HLEN", "{liveness}:v"))
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT count(*) FROM pynenc_liveness.watch").fetchone()
    assert row is not None
    return int(row[0])


def runner_on(server: Server, folder: Path) -> RunnerProcess:
    return RunnerProcess(
        "tests.faults.liveness_app",
        *("--runner", "thread", "--concurrency", "4"),
        environment={"PYNENC_URL": server.url},
        log=folder / "runner.log",
    )


def test_thousands_of_coroutines_are_told_over_one_connection_and_so_are_all_threads(
    server: Server, app: Pynenc, tmp_path: Path
) -> None:
    double = app.task(liveness_app.double.func)
    number = COROUTINES + THREADS
    invocations = list(double.parallelize([(n,) for n in range(number)]))
    threads_before = threading.active_count()

    async def wait_for_all() -> list[int]:
        return list(await asyncio.gather(*(each.async_result(WAIT_S) for each in invocations[:COROUTINES])))

    with ThreadPoolExecutor(THREADS + 1) as pool:
        results = [pool.submit(each.get, WAIT_S) for each in invocations[COROUTINES:]]
        coroutines = pool.submit(asyncio.run, wait_for_all())
        wait_until(lambda: watched(server) == number, timeout_s=120)
        while_they_wait, threads = connections_to(server), threading.active_count()
        runner = runner_on(server, tmp_path)
        try:
            told = coroutines.result() + [each.result() for each in results]
        finally:
            code = runner.stop()

    assert told == [2 * n for n in range(number)]
    # One that tells the event loop, one with which its coroutines ask in turn; and the same for all threads.
    assert while_they_wait <= 4
    # Theirs, and two for all threads: the one that listens and the one that hands on what it hears.
    assert threads <= threads_before + THREADS + 1 + 2
    assert code == 0


def test_coroutines_submit_and_wait_without_any_thread(
    server: Server, app: Pynenc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = app.task(liveness_app.double.func)
    started: list[str] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    async def many() -> list[int]:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "run_in_executor", None)
        invocations = [await double.acall(n) for n in range(50)]
        return [await each for each in invocations]

    runner = runner_on(server, tmp_path)
    try:
        monkeypatch.setattr(threading.Thread, "start", noted)
        results = asyncio.run(many())
    finally:
        code = runner.stop()

    assert results == [2 * n for n in range(50)]
    assert started == []
    assert code == 0
