"""Where the soak works, and how much is left there."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.servers import PostgresServer, RedisServer

# Ended sessions are kept for as long as history may name them, numbers and settings for ever; runners that have nothing
# to do are noted as such.
_KEPT = ("session", "meta", "queue", "sleeper")
_KEPT_BY_REDIS = ("s", "bell:-")
"""Sessions, and rings for processes that are gone: those lapse by themselves."""


class Place(Protocol):
    """A store of the soak's own."""

    url: str

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return how many rows or keys there are of each sort, without those that are kept by intention."""


class SqlitePlace(Place):
    """A file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "soak.db"
        self.url = f"sqlite:///{self._path}"

    def sizes(self) -> dict[str, int]:
        with sqlite3.connect(self._path) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                for name in names
                if not name.startswith(("sqlite_", *_KEPT))
            }


class RedisPlace(Place):
    """A server."""

    def __init__(self, server: RedisServer) -> None:
        self.url = server.url

    def sizes(self) -> dict[str, int]:
        import redis

        with redis.Redis.from_url(self.url) as client:
            names = (key.decode("utf-8", "replace").partition(":")[2] for key in client.scan_iter())
            sorts = Counter("".join(c for c in name if not c.isdigit())[:6] for name in names)
            return {sort: count for sort, count in sorts.items() if sort not in _KEPT_BY_REDIS}


class PostgresPlace(Place):
    """A server."""

    def __init__(self, server: PostgresServer) -> None:
        self.url = server.url

    def sizes(self) -> dict[str, int]:
        import psycopg

        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'pynenc%'"
            ).fetchall()
            sizes = {}
            for schema, table in rows:
                if not table.startswith(_KEPT):
                    found = connection.execute(f'SELECT count(*) FROM "{schema}"."{table}"'.encode()).fetchone()
                    assert found is not None
                    sizes[table] = found[0]
            return sizes


@contextmanager
def place_of(store: str, folder: Path) -> Iterator[Place]:
    """Give a store of one's own; its server, if it needs one, ends with the block."""
    if store == "sqlite":
        yield SqlitePlace(folder)
    elif store == "redis":
        with RedisServer(folder / "redis") as redis_server:
            yield RedisPlace(redis_server)
    else:
        with PostgresServer(folder / "postgresql") as postgres_server:
            yield PostgresPlace(postgres_server)
