"""Huey on SQLite: the smallest system of the field that needs no server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.system import System

_APP = """
import os
from huey import SqliteHuey
huey = SqliteHuey("bench", filename=os.environ["HUEY_DB"])

@huey.task()
def echo(value):
    return value
"""


class HueySqlite(System):
    """Process workers; its storage at its defaults."""

    name = "Huey (SQLite)"

    def start(self, folder: Path, *, workers: int) -> None:
        (folder / "huey_bench_app.py").write_text(_APP)
        os.environ["HUEY_DB"] = str(folder / "huey.db")
        sys.path.insert(0, str(folder))
        sys.modules.pop("huey_bench_app", None)
        import importlib

        self._echo: Any = importlib.import_module("huey_bench_app").echo
        self._folder = folder
        self._consumer: subprocess.Popen[bytes] | None = None
        if workers:
            self._consumer = subprocess.Popen(
                [
                    *(sys.executable, "-m", "huey.bin.huey_consumer", "huey_bench_app.huey"),
                    # 1 ms is the shortest wait its consumer accepts between polls that found nothing.
                    *("-k", "process", "-w", str(workers), "-d", "0.001", "-q"),
                ],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(folder)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self.round_trip()

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            self._echo(value)

    def submit_bulk(self, number: int) -> None:
        self.submit_one_by_one(number)

    def run_all(self, number: int) -> None:
        results = [self._echo(value) for value in range(number)]
        received = sum(result.get(blocking=True, backoff=1, max_delay=0.01) for result in results)
        assert received == sum(range(number)), "a result is missing"

    def round_trip(self) -> None:
        assert self._echo(1).get(blocking=True, backoff=1, max_delay=0.001) == 1

    def stop(self) -> None:
        sys.path.remove(str(self._folder))
        if self._consumer is not None:
            self._consumer.terminate()
            self._consumer.wait(timeout=30)
