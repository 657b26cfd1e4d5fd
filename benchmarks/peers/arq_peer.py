"""Two workers of 100 jobs each that look every 10 ms (its default: 0.5 s); a job leaves the queue when its result is
stored, and is run again when its worker vanished (its default); submitted 100 at a time on one event loop, as it has
no call that takes many; results polled every ms."""

from __future__ import annotations

import asyncio

from arq import create_pool
from arq.connections import RedisSettings
from driver import URL, BasePeer

_SETTINGS = RedisSettings.from_dsn(URL) if URL else RedisSettings()
_AT_ONCE = 100
_POLL_S = 0.001
_WAIT_S = 100.0


async def echo(_context: dict, value: int) -> int:
    return value


class WorkerSettings:
    functions = [echo]
    redis_settings = _SETTINGS
    poll_delay = 0.01
    max_jobs = 100
    log_results = False


class Peer(BasePeer):
    distributions = ("arq", "redis", "hiredis")

    def __init__(self) -> None:
        self._loop = asyncio.Runner()

    def prepare(self) -> None:
        self._pool = self._loop.run(create_pool(_SETTINGS))

    def worker_commands(self, workers: int) -> list[list[str]]:
        quiet = ("--custom-log-dict", "arq_peer.LOGGING")
        return [["arq", "arq_peer.WorkerSettings", *quiet] for _ in range(workers)]

    def submit_one_by_one(self, number: int) -> None:
        async def submit() -> None:
            for value in range(number):
                await self._pool.enqueue_job("echo", value)

        self._loop.run(submit())

    def submit_bulk(self, number: int) -> None:
        self._loop.run(self._enqueue(number))

    def run_all(self, number: int) -> int:
        async def run() -> int:
            jobs = await self._enqueue(number)
            return sum([await job.result(timeout=_WAIT_S, poll_delay=_POLL_S) for job in jobs])

        return self._loop.run(run())

    def round_trip(self) -> None:
        async def once() -> int:
            job = await self._pool.enqueue_job("echo", 1)
            return await job.result(timeout=_WAIT_S, poll_delay=_POLL_S)

        assert self._loop.run(once()) == 1

    async def _enqueue(self, number: int) -> list:
        """Submit so many calls, some at a time: it has no call that takes many."""
        jobs = []
        for start in range(0, number, _AT_ONCE):
            values = range(start, min(start + _AT_ONCE, number))
            jobs += await asyncio.gather(*(self._pool.enqueue_job("echo", value) for value in values))
        return jobs


LOGGING = {"version": 1, "root": {"level": "WARNING"}}
