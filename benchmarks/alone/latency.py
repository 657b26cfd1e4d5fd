"""How long one call takes on a system that waits for it, in round trips of its store.

Submit, claim, settle and fetch are four operations of the store and cannot be fewer. Beside each call, in the same
loop: the least that the store answers to (PING, SELECT 1, a transaction of one row), and those four operations in one
process, with nobody to wake. Calls are some milliseconds apart, or one after the other.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.alone.places import NAMES, bench_client, fresh_store, runners
from benchmarks.comparison import percentile
from benchmarks.noop_app import echo
from benchmarks.record import Figure, Measured, Series
from benchmarks.services import server_url
from benchmarks.systems.bare_store import BareStore

_OPERATIONS = 4
_PAUSES = (("in a row", 0.0), ("5 ms apart", 0.005))
_SHOWN = (1, 5, 10, 25, 50, 75, 90, 95, 98, 99)
PLOT = "latency"


def latency(stores: Sequence[str], number: int) -> Measured:
    """Measure `number` calls on each store, in a row and apart."""
    measured = Measured()
    for store in stores:
        for name, pause_s in _PAUSES:
            bare, operations, calls = _interleaved(store, number, pause_s)
            measured.figures += _figures(f"{NAMES[store]}, {name}", bare, operations, calls)
            if pause_s:
                points = [(float(each), 1e3 * percentile(calls, each)) for each in _SHOWN]
                measured.series.append(Series(plot=PLOT, name=NAMES[store], points=points))
    return measured


def _figures(name: str, bare: list[float], operations: list[float], calls: list[float]) -> list[Figure]:
    least, four, call = (percentile(times, 50) for times in (bare, operations, calls))
    return [
        Figure(what=f"{name}: idle to result, p50", value=1e3 * call, unit=" ms"),
        Figure(
            what=f"{name}: the same in bare round trips",
            value=call / least,
            unit="×",
            at_most=_OPERATIONS,
            detail=f"one takes {1e6 * least:,.0f} µs",
        ),
        Figure(
            what=f"{name}: the same over its four operations alone",
            value=call / four,
            unit="×",
            detail=f"they take {1e6 * four:,.0f} µs in one process, with nobody to wake",
        ),
    ]


def _interleaved(store: str, number: int, pause_s: float) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of bare round trips, of the four operations, and of calls, taken in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        fresh_store(store) as url,
        bench_client(url),
        runners(url, workers=2),
        _bare_round_trip(store, Path(folder)) as bare,
    ):
        alone = BareStore(store, app_id="alone")
        alone.open(url if store != "sqlite" else f"sqlite:///{folder}/alone.db")
        works: tuple[Callable[[], None], ...] = (bare, alone.round_trip, _call)
        found: tuple[list[float], ...] = ([], [], [])
        try:
            _call()
            for _ in range(number):
                for work, times in zip(works, found, strict=True):
                    time.sleep(pause_s)
                    begin = time.perf_counter()
                    work()
                    times.append(time.perf_counter() - begin)
        finally:
            alone.stop()
    return found[0], found[1], found[2]


def _call() -> None:
    assert echo(1).result == 1


@contextmanager
def _bare_round_trip(store: str, folder: Path) -> Iterator[Callable[[], None]]:
    if store == "sqlite":
        with _sqlite_transaction(folder) as work:
            yield work
    elif store == "postgresql":
        import psycopg

        with psycopg.connect(server_url(store), autocommit=True) as connection:
            yield lambda: _ignore(connection.execute("SELECT 1").fetchone())
    else:
        import redis

        with redis.Redis.from_url(server_url(store)) as client:
            yield lambda: _ignore(client.ping())


@contextmanager
def _sqlite_transaction(folder: Path) -> Iterator[Callable[[], None]]:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE t (id BLOB PRIMARY KEY, payload BLOB) WITHOUT ROWID")

    def transaction() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?, ?)", (os.urandom(16), b"x" * 50))
        connection.execute("COMMIT")

    try:
        yield transaction
    finally:
        connection.close()


def _ignore(_: object) -> None:
    pass
