"""The published Pynenc with its Redis plug-in: runner of two persistent processes; submitted with `parallelize`; the
rest at its defaults."""

from __future__ import annotations

from driver import URL, BasePeer

from pynenc import PynencBuilder

app = (
    PynencBuilder()
    .app_id("bench")
    .redis(url=URL)
    .persistent_process_runner(num_processes=2)
    .logging_level("error")
    .build()
)


@app.task
def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("pynenc", "pynenc-redis", "redis", "hiredis")

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [["pynenc", "--app", "pynenc_published_peer.app", "runner", "start"]]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            echo(value)

    def submit_bulk(self, number: int) -> None:
        echo.parallelize([(value,) for value in range(number)])

    def run_all(self, number: int) -> int:
        return sum(echo.parallelize([(value,) for value in range(number)]).results)

    def round_trip(self) -> None:
        assert echo(1).result == 1
