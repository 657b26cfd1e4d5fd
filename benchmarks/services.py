"""Where the servers of measurements are: private ones that nothing else uses, and fresh places on them.

They are started when they are first asked for. A server whose address the environment gives (`PYNENC_TEST_REDIS`,
`PYNENC_TEST_POSTGRESQL`) is used instead; of Redis only one database then, which must be empty or the benchmarks' own.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

STORES = ("sqlite", "redis", "redis-no-aof", "postgresql")
"""What can be measured: Redis with an append-only file that is synced every second, and without one."""

_ROOT = Path(__file__).parents[1]
_SERVICES = _ROOT / "scripts" / "services"
_BENCH = _ROOT / ".bench"
_STATES = {name: _BENCH / f"services-{name}" for name in STORES[1:]}
_DATABASE = 9
_OURS = "pynenc-benchmarks"
_started: dict[str, str] = {}


def fresh_url(store: str, folder: Path, owner: str) -> str:
    """Return the URL of an empty place on a store, in `folder` if it is a file.

    Args:
        store: one of STORES.
        folder: of the measurement.
        owner: whose database it is on PostgreSQL, so that who dropped one is seen in the server's log.
    """
    if store == "sqlite":
        return f"sqlite:///{folder / 'bench.db'}"
    if store == "postgresql":
        return _new_database(server_url(store), f"pynenc_bench_{owner}")
    return _emptied_database(server_url(store))


def server_url(store: str) -> str:
    """Return the address of a server, which is started when it is first asked for.

    Raises:
        RuntimeError: it could not be started; `scripts/services` said why.
    """
    if store not in _started:
        _started[store] = _start(store)
    return _started[store]


def stores_in_use() -> list[str]:
    """Return the stores of this run: SQLite, and those whose servers were asked for."""
    return [store for store in STORES if store == "sqlite" or store in _started]


def _start(store: str) -> str:
    service = store.partition("-")[0]
    variable = f"PYNENC_TEST_{service.upper()}"
    environment = {**os.environ, "PYNENC_SERVICES": str(_STATES[store])}
    # Whoever gives a server gives one of the usual durability.
    given = environment.pop(variable, "")
    if given and service == store:
        return given
    _services("start", service, environment=environment)
    url = _told(environment, variable)
    if store == "redis-no-aof":
        with _redis(url) as client:
            client.config_set("appendonly", "no")
    return url


def _services(*words: str, environment: dict[str, str]) -> str:
    done = subprocess.run([_SERVICES, *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"scripts/services {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout


def _told(environment: dict[str, str], variable: str) -> str:
    for line in _services("env", environment=environment).splitlines():
        name, _, value = line.partition("=")
        if name.removeprefix("export ").strip() == variable:
            return value.strip("'\"")
    raise RuntimeError(f"scripts/services announced no {variable}")


@contextmanager
def own_servers() -> Iterator[None]:
    """Stop in the end what `server_url` starts within the block.

    Raises:
        SystemExit: another run of benchmarks in this checkout uses them.
    """
    _BENCH.mkdir(exist_ok=True)
    with (_BENCH / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit("another run of benchmarks is going on in this checkout; wait until it ends") from None
        # A run that was killed may have left servers, and runners on them that would take part in this one.
        _stop_servers()
        try:
            yield
        finally:
            _stop_servers()


def _stop_servers() -> None:
    for state in _STATES.values():
        if state.exists():
            _services("stop", environment={**os.environ, "PYNENC_SERVICES": str(state)})
    _started.clear()


def version_of(store: str) -> str:
    """Return the version of the server of a store, or of the SQLite library."""
    if store == "sqlite":
        import sqlite3

        return sqlite3.sqlite_version
    if store == "postgresql":
        with _postgresql(server_url(store)) as connection:
            told: str = connection.execute("SHOW server_version").fetchone()[0]
            return told.split()[0]
    with _redis(server_url(store)) as client:
        info: dict[str, str] = client.info("server")
        return info["redis_version"]


def _redis(url: str) -> Any:
    import redis

    return redis.Redis.from_url(url)


def _postgresql(url: str) -> Any:
    import psycopg

    return psycopg.connect(url, autocommit=True)


def _emptied_database(server: str) -> str:
    """Empty the benchmarks' database of a Redis server, unless it holds what they did not write.

    Raises:
        RuntimeError: it does.
    """
    url = _with_path(server, str(_DATABASE))
    with _redis(url) as client:
        if client.dbsize() and not client.exists(_OURS):
            raise RuntimeError(
                f"database {_DATABASE} of the Redis server holds other data; empty it, or choose another"
            )
        client.flushdb()
        client.set(_OURS, 1)
    return url


def _new_database(server: str, name: str) -> str:
    with _postgresql(server) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return _with_path(server, name)


def _with_path(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{path}", parts.query, ""))
