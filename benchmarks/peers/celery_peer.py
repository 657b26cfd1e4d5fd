"""Prefork pool of two; `task_acks_late` and `task_reject_on_worker_lost`; prefetch 64, as its manual advises for short
tasks; no gossip, mingle or heartbeat; submitted as one `group`; results in Redis, joined natively."""

from __future__ import annotations

from celery import Celery, group
from driver import URL, BasePeer

app = Celery("celery_peer", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    result_expires=3_600,
    worker_prefetch_multiplier=64,
)
_WAIT_S = 100


@app.task
def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("celery", "kombu", "redis", "hiredis")

    def worker_commands(self, workers: int) -> list[list[str]]:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING")
        return [["celery", "-A", "celery_peer", "worker", "--pool", "prefork", "-c", str(workers), *quiet]]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            echo.delay(value)

    def submit_bulk(self, number: int) -> None:
        group(echo.s(value) for value in range(number)).apply_async()

    def run_all(self, number: int) -> int:
        results = group(echo.s(value) for value in range(number)).apply_async()
        return sum(results.join_native(timeout=_WAIT_S))

    def round_trip(self) -> None:
        assert echo.delay(1).get(timeout=_WAIT_S) == 1
