"""A runner that was stopped for longer than its lease cannot write, and goes on as a new one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.io import run
from tests import stores
from tests.faults import liveness_app
from tests.faults.processes import RunnerProcess
from tests.faults.records import keep
from tests.private_servers.process import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(180)]

STORES = {
    "sqlite": ("SQLite", "normal"),
    "redis": ("Redis", "normal"),
    "redis-cluster": ("Redis Cluster", "normal"),
    "postgresql": ("PostgreSQL", "full"),
    "pgbouncer": ("PostgreSQL, pgbouncer", "full"),
}


class Fleet:
    """Runners by name, on one store; what still runs is ended with the context."""

    def __init__(self, url: str, app_id: str, folder: Path) -> None:
        self._environment = {"PYNENC_URL": url, "PYNENC__APP_ID": app_id, "PYNENC__LEASE_SECONDS": "1"}
        self._folder = folder
        self._runners: list[RunnerProcess] = []

    def start(self) -> RunnerProcess:
        started = RunnerProcess(
            "tests.faults.liveness_app",
            *("--runner", "thread", "--concurrency", "2"),
            environment=self._environment,
            log=self._folder / "runners.log",
        )
        self._runners.append(started)
        return started

    def end(self, runner: RunnerProcess) -> int:
        self._runners.remove(runner)
        return runner.stop()

    def end_all(self) -> None:
        for runner in list(self._runners):
            os.kill(runner.pid, signal.SIGCONT)
            self.end(runner)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def place(store: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    with stores.fresh_url(store, tmp_path) as found:
        yield found


@pytest.fixture
def fleet(place: tuple[str, str], tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(*place, tmp_path)
    try:
        yield made
    finally:
        made.end_all()


def test_what_a_stopped_runner_ran_belongs_to_another_and_its_write_is_refused(
    store: str, place: tuple[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    begun, word = tmp_path / "begun", tmp_path / "word"
    ended = Path(f"{begun}.ended")
    app = Pynenc(place[0], app_id=place[1])
    stale = fleet.start()
    invocation = app.task(liveness_app.told_apart.func)(str(begun), str(word))
    wait_until(lambda: begun.exists() and begun.read_text().endswith("\n"))
    first = int(begun.read_text())

    os.kill(stale.pid, signal.SIGSTOP)
    other = fleet.start()
    second = invocation.get(timeout=60)
    assert fleet.end(other) == 0
    word.touch()
    os.kill(stale.pid, signal.SIGCONT)
    wait_until(ended.exists)
    # Only the one that was stopped is left: that it runs this shows that it has come to, and said what it had to say.
    after = app.task(liveness_app.double.func)(21).get(timeout=60)

    found = app.get_invocation(invocation.invocation_id)
    assert second > first
    assert (found.get(timeout=5), after) == (second, 42)
    findings = [str(each) for each in run(app.backend.orchestrator.verify())]
    assert fleet.end(stale) == 0
    app.close()
    keep("check", *STORES[store], "stale runner", times=1, findings=findings)
    assert findings == []
