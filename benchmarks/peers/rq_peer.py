"""Pool of two workers that do not fork for each job, the fastest it has; `Retry(max=3)`, without which a job of a
killed worker fails; submitted with `enqueue_many`; results in Redis streams, waited for with a blocking read."""

from __future__ import annotations

from driver import URL, BasePeer
from redis import Redis
from rq import Queue, Retry
from rq.results import Result

_connection = Redis.from_url(URL)
_queue = Queue(connection=_connection)
_WAIT_S = 100
_AGAIN = Retry(max=3)


def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("rq", "redis", "hiredis")

    def worker_commands(self, workers: int) -> list[list[str]]:
        kind = ("--worker-class", "rq.SimpleWorker", "--quiet")
        return [["rq.cli", "worker-pool", "default", "--num-workers", str(workers), "--url", URL, *kind]]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            _queue.enqueue("rq_peer.echo", value, retry=_AGAIN)

    def submit_bulk(self, number: int) -> None:
        self._enqueue(number)

    def run_all(self, number: int) -> int:
        return sum(self._result(job) for job in self._enqueue(number))

    def round_trip(self) -> None:
        assert self._result(_queue.enqueue("rq_peer.echo", 1, retry=_AGAIN)) == 1

    def _enqueue(self, number: int) -> list:
        jobs = [Queue.prepare_data("rq_peer.echo", (value,), retry=_AGAIN) for value in range(number)]
        return _queue.enqueue_many(jobs)

    def _result(self, job) -> int:
        return Result.fetch_latest(job, timeout=_WAIT_S).return_value
