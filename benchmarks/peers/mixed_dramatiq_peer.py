"""Two processes of two threads; everything else at its default: each process prefetches two messages a thread."""

from __future__ import annotations

import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from driver import URL, BasePeer
from mixed import SLOTS, lengths

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)
_WAIT_MS = 100_000


@dramatiq.actor(store_results=True)
def doze(value: int, seconds: float) -> int:
    time.sleep(seconds)
    return value


class Peer(BasePeer):
    distributions = ("dramatiq", "redis", "hiredis")

    def worker_commands(self, workers: int) -> list[list[str]]:
        threads = str(SLOTS // workers)
        return [["dramatiq", "mixed_dramatiq_peer", "--processes", str(workers), "--threads", threads]]

    def submit_one_by_one(self, number: int) -> None:
        for value, seconds in enumerate(lengths(number)):
            doze.send(value, seconds)

    def submit_bulk(self, number: int) -> None:
        self._group(number).run()

    def run_all(self, number: int) -> int:
        return sum(self._group(number).run().get_results(block=True, timeout=_WAIT_MS))

    def round_trip(self) -> None:
        assert doze.send(1, 0.0).get_result(block=True, timeout=_WAIT_MS) == 1

    def _group(self, number: int) -> dramatiq.group:
        return dramatiq.group(doze.message(value, seconds) for value, seconds in enumerate(lengths(number)))
