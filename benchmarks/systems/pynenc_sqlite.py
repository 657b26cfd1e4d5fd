"""Pynenc on its embedded default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.system import System
from pynenc import Pynenc


class PynencSqlite(System):
    """Process runner and SQLite at the default durability."""

    name = "pynenc (SQLite)"

    def start(self, folder: Path, *, workers: int) -> None:
        url = self._url(folder)
        self._app = Pynenc(url, app_id="bench")
        self._app.purge()
        self._echo: Any = self._app.task(_echo_of_noop_app())
        self._echo.task_id = "benchmarks.noop_app.echo"
        self._runner = None if workers == 0 else start_runner(url, "process", workers=workers)
        if self._runner is not None:
            self.round_trip()

    def _url(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'bench.db'}"

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            self._echo(value)

    def submit_bulk(self, number: int) -> None:
        self._echo.parallelize((value,) for value in range(number))

    def run_all(self, number: int) -> None:
        group = self._echo.parallelize((value,) for value in range(number))
        received = sum(group.results)
        assert received == sum(range(number)), "a result is missing"

    def round_trip(self) -> None:
        assert self._echo(1).result == 1

    def stop(self) -> None:
        self._app.close()
        if self._runner is not None:
            self._runner.terminate()
            self._runner.wait(timeout=30)


def _echo_of_noop_app() -> Any:
    def echo(value: int) -> int:
        return value

    return echo


def start_runner(url: str, kind: str, *, workers: int) -> subprocess.Popen[bytes]:
    """Start `pynenc runner start` on the benchmark's app in a process of its own."""
    option = "--concurrency" if kind == "async" else "--processes"
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pynenc", "--app", "benchmarks.noop_app"),
            *("runner", "start", "--runner", kind, option, str(workers)),
        ],
        env={**os.environ, "PYNENC_URL": url, "PYNENC__LOGGING_LEVEL": "warning"},
        stdout=subprocess.DEVNULL,
    )
