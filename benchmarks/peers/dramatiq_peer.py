"""Two processes of eight threads (its default); messages are acknowledged after the actor returned (its default);
submitted as one `group`; results in Redis."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from driver import URL, BasePeer

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)
_WAIT_MS = 100_000


@dramatiq.actor(store_results=True)
def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("dramatiq", "redis", "hiredis")

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [["dramatiq", "dramatiq_peer", "--processes", str(workers)]]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            echo.send(value)

    def submit_bulk(self, number: int) -> None:
        dramatiq.group(echo.message(value) for value in range(number)).run()

    def run_all(self, number: int) -> int:
        group = dramatiq.group(echo.message(value) for value in range(number)).run()
        return sum(group.get_results(block=True, timeout=_WAIT_MS))

    def round_trip(self) -> None:
        assert echo.send(1).get_result(block=True, timeout=_WAIT_MS) == 1
