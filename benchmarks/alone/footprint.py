"""What a store holds: rows or keys, and the room they take."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec import Struct


class Footprint(Struct, frozen=True, kw_only=True):
    """One look at a store."""

    entries: dict[str, int]
    """Rows by table, or elements by key."""
    used: int
    """Bytes in use: of pages or of memory, without what is free to be used again."""

    @property
    def total(self) -> int:
        """Return the number of entries of all kinds."""
        return sum(self.entries.values())

    def grown(self, since: Footprint) -> dict[str, int]:
        """Return by how much each kind of entry has grown."""
        more = {name: number - since.entries.get(name, 0) for name, number in self.entries.items()}
        return {name: number for name, number in more.items() if number > 0}


def footprint(store: str, url: str) -> Footprint:
    """Return what is in a store now."""
    return _LOOKS[store](url)


def _of_sqlite(url: str) -> Footprint:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        entries = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
        size, pages, free = (
            connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count")
        )
    finally:
        connection.close()
    return Footprint(entries=entries, used=size * (pages - free))


def _of_redis(url: str) -> Footprint:
    import redis

    sizes: dict[str, Callable[[Any, bytes], int]] = {
        "string": lambda client, key: 1,
        "list": lambda client, key: client.llen(key),
        "set": lambda client, key: client.scard(key),
        "zset": lambda client, key: client.zcard(key),
        "hash": lambda client, key: client.hlen(key),
    }
    with redis.Redis.from_url(url) as client:
        keys = list(client.scan_iter(count=1_000))
        entries = {repr(key): sizes[client.type(key).decode()](client, key) for key in keys}
        return Footprint(entries=entries, used=client.info("memory")["used_memory"])


def _of_postgresql(url: str) -> Footprint:
    import psycopg
    from psycopg import sql

    listed = "SELECT schemaname, relname, relid FROM pg_stat_user_tables ORDER BY 1, 2"
    looked = sql.SQL("SELECT count(*), pg_total_relation_size(%s::oid) FROM {}")
    with psycopg.connect(url, autocommit=True) as connection:
        # Dead rows, and the pages at the end that only they filled, are not what the store holds.
        connection.execute("VACUUM")
        entries, used = {}, 0
        for schema, name, number in connection.execute(listed).fetchall():
            found = connection.execute(looked.format(sql.Identifier(schema, name)), (number,)).fetchone()
            assert found is not None, "an aggregate has one row"
            entries[name] = found[0]
            used += found[1]
    return Footprint(entries=entries, used=used)


_LOOKS: dict[str, Callable[[str], Footprint]] = {
    "sqlite": _of_sqlite,
    "redis": _of_redis,
    "redis-no-aof": _of_redis,
    "postgresql": _of_postgresql,
}
