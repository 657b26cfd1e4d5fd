"""Two process workers, polling at the shortest wait it accepts where it polls; results told by notification on Redis,
polled on SQLite. It has no crash-safe mode: its consumer takes a task off the queue before it runs it, and a task
whose worker is killed is lost. It has no call that takes many."""

from __future__ import annotations

from driver import URL, BasePeer
from huey import RedisHuey, SqliteHuey

_SQLITE = "sqlite:///"
_EMBEDDED = URL.startswith(_SQLITE)
if _EMBEDDED:
    huey = SqliteHuey("bench", filename=URL.removeprefix(_SQLITE))
else:
    huey = RedisHuey("bench", url=URL, notify_result=True)


@huey.task()
def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("huey",) if _EMBEDDED else ("huey", "redis", "hiredis")

    def worker_commands(self, workers: int) -> list[list[str]]:
        # 1 ms is the shortest wait its consumer accepts between polls that found nothing.
        options = ("-k", "process", "-w", str(workers), "-d", "0.001", "-q")
        return [["huey.bin.huey_consumer", "huey_peer.huey", *options]]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            echo(value)

    def submit_bulk(self, number: int) -> None:
        self.submit_one_by_one(number)

    def run_all(self, number: int) -> int:
        results = [echo(value) for value in range(number)]
        return sum(result.get(blocking=True, backoff=1, max_delay=0.01) for result in results)

    def round_trip(self) -> None:
        assert echo(1).get(blocking=True, backoff=1, max_delay=0.001) == 1
