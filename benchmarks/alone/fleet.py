"""What runners ask of a server while there is nothing to do."""

from __future__ import annotations

import threading
import time
from collections import Counter

from benchmarks.alone.places import bench_client, fresh_backend, runners
from benchmarks.record import Figure, Measured
from pynenc.io import run
from pynenc.model.records import SessionKind
from pynenc.ports.backend import Backend

_START_S = 240.0
_SETTLE_S = 5.0
_AT_MOST_PER_S = 10


def idle_fleet(number: int, seconds: float) -> Measured:
    """Count what `number` idle process runners of one worker each send to Redis, and the transactions on PostgreSQL."""
    measured = Measured()
    for name, store, count in (
        ("commands to Redis", "redis", _redis_commands),
        ("transactions on PostgreSQL", "postgresql", _postgresql_transactions),
    ):
        with (
            fresh_backend(store) as (url, backend),
            bench_client(url) as app,
            runners(url, workers=1, number=number),
        ):
            # Tables and scripts are there before anybody looks for sessions.
            app.purge()
            _wait_for(backend, number)
            time.sleep(_SETTLE_S)
            rate, detail = count(url, seconds)
        what = f"{number} idle runners: {name} per second, all together"
        measured.figures.append(Figure(what=what, value=rate, at_most=_AT_MOST_PER_S, detail=detail))
    return measured


def _wait_for(backend: Backend, number: int) -> None:
    deadline = time.monotonic() + _START_S
    live = 0
    while live < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{live} of {number} runners were there after {_START_S:g} s")
        time.sleep(0.5)
        rows = run(backend.orchestrator.list_sessions())
        live = sum(row.info.kind is SessionKind.RUNNER for row in rows)


def _redis_commands(url: str, seconds: float) -> tuple[float, str]:
    """Return how many commands arrive per second, and those that scripts run inside the server besides.

    `INFO commandstats` counts both alike; a monitor tells who sent what.
    """
    import redis

    sent: Counter[str] = Counter()
    inside = 0
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:
        # It waits for the next command: one of ours ends it.
        own = redis.Redis.from_url(url)
        end = threading.Timer(seconds, own.echo, args=("the end",))
        begin = time.monotonic()
        end.start()
        for seen in monitor.listen():
            if "the end" in seen["command"]:
                break
            if seen["client_type"] == "lua":
                inside += 1
            elif not seen["command"].startswith(("CLIENT", "SELECT", "HELLO")):
                sent[seen["command"].split()[0]] += 1
        taken = time.monotonic() - begin
        end.join()
        own.close()
    detail = ", ".join(f"{name} {number / taken:.1f}" for name, number in sent.most_common())
    return sum(sent.values()) / taken, f"{detail}; scripts run {inside / taken:.0f} more inside the server"


def _postgresql_transactions(url: str, seconds: float) -> tuple[float, str]:
    """Return how many transactions end per second in the database."""
    import psycopg

    asked = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    with psycopg.connect(url, autocommit=True) as connection:

        def ended() -> int:
            # Sessions hand in their counts a second after they become idle at the latest.
            time.sleep(1.5)
            row = connection.execute(asked).fetchone()
            assert row is not None, "this database exists"
            number: int = row[0]
            return number

        first, begin = ended(), time.monotonic()
        time.sleep(seconds)
        number, taken = ended() - first, time.monotonic() - begin
    return (number - 1) / taken, "from pg_stat_database"
