"""Fresh stores, the app on them, and runners that serve it for the length of a block."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.noop_app import app as bench_app
from benchmarks.services import fresh_url
from benchmarks.systems.pynenc_here import end, start_runner
from pynenc import Pynenc
from pynenc.composition import open_backend
from pynenc.ports.backend import Backend

NAMES = {
    "sqlite": "SQLite",
    "redis": "Redis",
    "redis-no-aof": "Redis without AOF",
    "postgresql": "PostgreSQL",
}
DURABLE = ("sqlite", "redis", "postgresql")
"""The stores that keep what they acknowledged over a restart."""


@contextmanager
def fresh_store(store: str = "sqlite") -> Iterator[str]:
    """Give the URL of an empty store."""
    with tempfile.TemporaryDirectory(prefix="pynenc-bench-") as folder:
        yield fresh_url(store, Path(folder), "pynenc")


@contextmanager
def fresh_backend(store: str) -> Iterator[tuple[str, Backend]]:
    """Give the URL of an empty store and what speaks to it."""
    with fresh_store(store) as url:
        backend = open_backend(url, app_id=bench_app.app_id)
        try:
            yield url, backend
        finally:
            backend.close()


@contextmanager
def bench_client(url: str) -> Iterator[Pynenc]:
    """Point the app of the measurements at a store."""
    bench_app.conf.url = url
    bench_app.release_backend()
    try:
        yield bench_app
    finally:
        bench_app.release_backend()


@contextmanager
def runners(url: str, kind: str = "process", *, workers: int = 2, number: int = 1) -> Iterator[list[int]]:
    """Run so many runners; give their process ids. They may have been killed when the block ends."""
    started = [start_runner(url, kind, workers=workers) for _ in range(number)]
    try:
        yield [runner.pid for runner in started]
    finally:
        end(*started)
