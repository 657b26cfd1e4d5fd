"""What a waiting task takes on Redis."""

from __future__ import annotations

from typing import Any

import redis

from benchmarks.alone.places import bench_client, fresh_store
from benchmarks.noop_app import keep
from benchmarks.record import Figure, Measured

PAYLOAD = 200
"""Bytes of arguments, as they are stored."""


def memory(waiting: int) -> Measured:
    """The memory of the server per call that waits, with all its keys and index entries."""
    with fresh_store("redis") as url, bench_client(url), redis.Redis.from_url(url) as client:
        text = _argument()
        # Scripts, queue and the like are there before the first call is counted.
        keep.parallelize((text,) for _ in range(10))
        before = _used(client)
        keep.parallelize((text,) for _ in range(waiting))
        used = (_used(client) - before) / waiting
    what = f"memory per waiting task on Redis, {PAYLOAD} bytes of arguments, {waiting:,} waiting"
    return Measured(figures=[Figure(what=what, value=used, unit=" bytes", at_most=800)])


def _argument() -> str:
    """Return a text with which the encoded arguments are PAYLOAD bytes."""
    around = len(keep.prepare(("",), {}).sealed)
    return "x" * (PAYLOAD - around)


def _used(client: Any) -> int:
    used: int = client.info("memory")["used_memory"]
    return used
