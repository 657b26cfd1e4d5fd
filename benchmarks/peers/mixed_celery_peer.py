"""Two workers with a prefork pool of two each; everything else at its default: each worker prefetches four calls a
process, acknowledged when they begin."""

from __future__ import annotations

import time

from celery import Celery, group
from driver import URL, BasePeer
from mixed import SLOTS, lengths

app = Celery("mixed_celery_peer", broker=URL, backend=URL)
app.conf.update(broker_connection_retry_on_startup=True, result_expires=3_600)
_WAIT_S = 100


@app.task
def doze(value: int, seconds: float) -> int:
    time.sleep(seconds)
    return value


class Peer(BasePeer):
    distributions = ("celery", "kombu", "redis", "hiredis")
    module = "mixed_celery_peer"

    def worker_commands(self, workers: int) -> list[list[str]]:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING")
        pool = ("--pool", "prefork", "-c", str(SLOTS // workers), *quiet)
        return [["celery", "-A", self.module, "worker", "-n", f"worker{n}@%h", *pool] for n in range(workers)]

    def submit_one_by_one(self, number: int) -> None:
        for value, seconds in enumerate(lengths(number)):
            doze.delay(value, seconds)

    def submit_bulk(self, number: int) -> None:
        group(doze.s(value, seconds) for value, seconds in enumerate(lengths(number))).apply_async()

    def run_all(self, number: int) -> int:
        results = group(doze.s(value, seconds) for value, seconds in enumerate(lengths(number))).apply_async()
        return sum(results.join_native(timeout=_WAIT_S))

    def round_trip(self) -> None:
        assert doze.delay(1, 0.0).get(timeout=_WAIT_S) == 1
