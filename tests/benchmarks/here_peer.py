"""Pynenc of this checkout as a peer: what the protocol of drivers is tested with, as it needs no environment."""

from __future__ import annotations

import os

from benchmarks.peers.driver import URL, BasePeer

os.environ["PYNENC_URL"] = URL
from benchmarks.noop_app import app, echo


class Peer(BasePeer):
    """Answers like the peers of `benchmarks/peers`, and fails at a number that asks for it."""

    distributions = ("pynenc",)

    def prepare(self) -> None:
        print("what a peer prints is no answer")
        app.purge()

    def worker_commands(self, workers: int) -> list[list[str]]:
        options = ("--runner", "process", "--processes", str(workers))
        return [["pynenc", "--app", "benchmarks.noop_app", "runner", "start", *options]]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            echo(value)

    def submit_bulk(self, number: int) -> None:
        if number == 13:
            raise ValueError("thirteen is not submitted")
        if number == 666:
            print("no more", flush=True)
            os._exit(1)
        echo.parallelize((value,) for value in range(number))

    def run_all(self, number: int) -> int:
        return sum(echo.parallelize((value,) for value in range(number)).results)

    def round_trip(self) -> None:
        assert echo(1).result == 1
