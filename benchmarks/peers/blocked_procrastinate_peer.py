"""How long Procrastinate takes to fetch a job while very many wait for a lock; run by `benchmarks.gated`.

    PEER_URL=postgresql://localhost/empty python blocked_procrastinate_peer.py 100000

Prints the median microseconds of a fetch with none blocked and with so many.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

import procrastinate
from driver import URL

_FETCHES = 30
_DEFERRED_AT_ONCE = 1_000
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL))


@app.task(name="echo")
async def echo(value: int) -> int:
    return value


async def _defer(number: int, lock: str | None) -> None:
    deferrer = echo.configure(lock=lock) if lock else echo.configure()
    for first in range(0, number, _DEFERRED_AT_ONCE):
        at_once = min(_DEFERRED_AT_ONCE, number - first)
        await deferrer.batch_defer_async(*[{"value": value} for value in range(at_once)])


async def _fetch_us(worker_id: int) -> float:
    times = []
    for _ in range(_FETCHES):
        begun = time.perf_counter()
        job = await app.job_manager.fetch_job(queues=None, worker_id=worker_id)
        times.append(time.perf_counter() - begun)
        assert job is not None, "there was work that no lock held back"
    return 1e6 * statistics.median(times)


async def main(blocked: int) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker_id = await app.job_manager.register_worker()
        await _defer(_FETCHES, None)
        none_us = await _fetch_us(worker_id)
        await _defer(1, "closed")
        holder = await app.job_manager.fetch_job(queues=None, worker_id=worker_id)
        assert holder is not None, "nobody holds the lock"
        await _defer(blocked, "closed")
        await _defer(_FETCHES, None)
        print(none_us, await _fetch_us(worker_id))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
