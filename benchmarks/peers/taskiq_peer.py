"""Two worker processes on a Redis stream of 100 asyncio tasks each (its default); acknowledged once the result is
saved (its default); submitted 100 at a time on one event loop, as it has no call that takes many; results in Redis,
polled."""

from __future__ import annotations

import asyncio

from driver import URL, BasePeer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = RedisStreamBroker(URL).with_result_backend(RedisAsyncResultBackend(URL, result_ex_time=3_600))
_AT_ONCE = 100
_WAIT_S = 100.0


@broker.task(task_name="echo")
async def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("taskiq", "taskiq-redis", "redis", "hiredis")

    def __init__(self) -> None:
        self._loop = asyncio.Runner()

    def prepare(self) -> None:
        self._loop.run(broker.startup())

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [["taskiq", "worker", "taskiq_peer:broker", "--workers", str(workers), "--log-level", "WARNING"]]

    def submit_one_by_one(self, number: int) -> None:
        async def submit() -> None:
            for value in range(number):
                await echo.kiq(value)

        self._loop.run(submit())

    def submit_bulk(self, number: int) -> None:
        self._loop.run(_kick(number))

    def run_all(self, number: int) -> int:
        async def run() -> int:
            total = 0
            for task in await _kick(number):
                total += (await task.wait_result(check_interval=0.005, timeout=_WAIT_S)).return_value
            return total

        return self._loop.run(run())

    def round_trip(self) -> None:
        async def once() -> int:
            task = await echo.kiq(1)
            return (await task.wait_result(check_interval=0.001, timeout=_WAIT_S)).return_value

        assert self._loop.run(once()) == 1


async def _kick(number: int) -> list:
    """Submit so many calls, some at a time: it has no call that takes many."""
    tasks = []
    for start in range(0, number, _AT_ONCE):
        tasks += await asyncio.gather(*(echo.kiq(value) for value in range(start, min(start + _AT_ONCE, number))))
    return tasks
