"""Pynenc of this checkout, on any store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.services import fresh_url
from benchmarks.system import System, seconds_of_each
from pynenc import Pynenc, __version__


class PynencHere(System):
    """Process runner with two workers; full status history, fences and recovery; store at its default durability."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.versions: Mapping[str, str] = {"pynenc": __version__}
        self._app: Pynenc | None = None
        self._runner: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path, *, workers: int) -> None:
        url = fresh_url(self.store, folder, "pynenc")
        self._app = Pynenc(url, app_id="bench")
        self._echo: Any = self._app.task(_echo_of_noop_app())
        self._echo.task_id = "benchmarks.noop_app.echo"
        if workers:
            self._runner = start_runner(url, "process", workers=workers)
            self._round_trip()

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            self._echo(value)

    def submit_bulk(self, number: int) -> None:
        self._echo.parallelize((value,) for value in range(number))

    def run_all(self, number: int) -> None:
        group = self._echo.parallelize((value,) for value in range(number))
        received = sum(group.results)
        assert received == sum(range(number)), "a result is missing"

    def round_trips(self, number: int, *, pause_s: float) -> list[float]:
        return seconds_of_each(self._round_trip, number, pause_s)

    def _round_trip(self) -> None:
        assert self._echo(1).result == 1

    def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            end(runner)
        app, self._app = self._app, None
        if app is not None:
            app.close()


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
            *("runner", "start", "--runner", kind, *(() if kind == "thread" else (option, str(workers)))),
        ],
        env={**os.environ, "PYNENC_URL": url, "PYNENC__LOGGING_LEVEL": "warning"},
        stdout=subprocess.DEVNULL,
    )


def end(*runners: subprocess.Popen[bytes]) -> None:
    """Ask runners to stop, and wait until they have."""
    for runner in runners:
        runner.terminate()
    for runner in runners:
        runner.wait(timeout=30)
