"""Fresh stores of every kind, and nothing of them left afterwards."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pynenc.composition import open_backend
from pynenc.ports.backend import Backend, ClockUs
from tests.servers import url_of

SERVERS = ("redis", "redis-cluster", "postgresql", "pgbouncer")
"""Stores that need a server of that name; see `scripts/services`."""
EMBEDDED = ("memory", "sqlite")
ALL = (*EMBEDDED, *SERVERS)

_numbers = count(1)
_schemas: set[str] = set()


@contextmanager
def fresh_store(name: str, folder: Path, clock: ClockUs | None = None) -> Iterator[Backend]:
    """Open an empty store; take it away again at the end.

    Args:
        folder: where a store that lives in a file may live.
        clock: where instants come from; None for the store's own clock.
    """
    with _place_of(name, folder) as (url, app_id):
        backend = open_backend(url, app_id=app_id, clock=clock)
        try:
            yield backend
        finally:
            backend.close()


@contextmanager
def _place_of(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Return a fresh place; one schema serves all tests of this process, because making it takes long."""
    if name not in ("postgresql", "pgbouncer"):
        with fresh_url(name, folder) as place:
            yield place
        return
    app_id = f"test_{os.getpid()}"
    if app_id not in _schemas:
        _schemas.add(app_id)
        atexit.register(_drop_schema, url_of("postgresql"), app_id)
    _empty_schema(url_of("postgresql"), f"pynenc_{app_id}")
    yield _url(name), app_id


@contextmanager
def fresh_url(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Return URL and app id of a store that does not exist yet; what comes to be there goes at the end."""
    app_id = f"test_{os.getpid()}_{next(_numbers)}"
    if name == "memory":
        yield "memory://", app_id
    elif name == "sqlite":
        yield f"sqlite:///{folder / f'{app_id}.db'}", app_id
    else:
        url = _url(name)
        try:
            yield url, app_id
        finally:
            if name.startswith("redis"):
                _drop_keys(url, app_id)
            else:
                _drop_schema(url_of("postgresql"), app_id)


def _url(name: str) -> str:
    return url_of(name) + ("?pgbouncer=transaction" if name == "pgbouncer" else "")


def _empty_schema(url: str, schema: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        sealed = (
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'sealed' AND tgrelid::regclass::text LIKE %s"
        )
        for (table,) in connection.execute(sealed, (f"{schema}.%",)).fetchall():
            connection.execute(f"DROP TRIGGER sealed ON {table}; DELETE FROM {schema}.meta WHERE name = 'sealed'")
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        statements = [f"DELETE FROM {schema}.{name}" for (name,) in rows if name != "meta"]
        if statements:
            statements += [f"ALTER SEQUENCE {schema}.{each} RESTART" for each in ("rank_sequence", "session_number")]
            connection.execute("; ".join(statements))


def _drop_keys(url: str, app_id: str) -> None:
    import redis

    if url.startswith("redis+cluster"):
        client: redis.Redis | redis.RedisCluster = redis.RedisCluster.from_url(
            url.replace("redis+cluster", "redis").split(",")[0]
        )
    else:
        client = redis.Redis.from_url(url)
    with client:
        for key in client.scan_iter(match="{" + app_id + "}:*", count=1_000):
            client.unlink(key)


def _drop_schema(url: str, app_id: str) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", (f"pynenc_{app_id}%".replace("_", r"\_"),)
        )
        for (schema,) in found.fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
