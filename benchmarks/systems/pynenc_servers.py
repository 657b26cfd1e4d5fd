"""Pynenc on the servers that `scripts/services` starts."""

from __future__ import annotations

from pathlib import Path

from benchmarks.services import url_of
from benchmarks.systems.pynenc_sqlite import PynencSqlite


class PynencRedis(PynencSqlite):
    """Process runner and Redis with an append-only file, written every second."""

    name = "pynenc (Redis, AOF everysec)"

    def _url(self, folder: Path) -> str:
        return url_of("redis")


class PynencPostgresql(PynencSqlite):
    """Process runner and PostgreSQL with synchronous_commit=on."""

    name = "pynenc (PostgreSQL)"

    def _url(self, folder: Path) -> str:
        return url_of("postgresql")
