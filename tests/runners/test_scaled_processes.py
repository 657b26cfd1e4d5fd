"""Worker processes that come and go with the load, and what a runner with a long body leaves to others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import ConfigurationError
from pynenc.io import run
from pynenc.model.records import SessionKind
from tests.faults.processes import RunnerProcess, is_alive
from tests.runners import process_app as tasks
from tests.runners.test_worker_processes import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

WAIT_S = 90.0


@pytest.fixture(params=["ProcessRunner", "HybridRunner", "MultiThreadRunner"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'scaled.db'}"
    app.conf.runner_cls = request.param
    app.conf.num_processes = 0
    app.conf.concurrency = 2
    app.conf.max_threads = 2
    app.conf.worker_mode = "threads"
    app.conf.enforce_max_processes = False
    app.conf.idle_timeout_process_sec = 0.3
    yield app
    app.conf.min_processes, app.conf.max_processes = 1, 0
    app.release_backend()


def slots_told(app: Pynenc) -> int:
    """Return how many slots the runner says it has."""
    (row,) = [row for row in run(app.control.list_sessions()) if row.info.kind is SessionKind.RUNNER]
    return row.info.slots


def test_workers_come_with_the_load_and_go_when_they_are_idle(app: Pynenc, tmp_path: Path) -> None:
    app.conf.min_processes, app.conf.max_processes = 1, 3
    go = tmp_path / "go"
    slots = 1 if app.conf.runner_cls == "ProcessRunner" else 2
    announced = [tmp_path / f"announced {n}" for n in range(3 * slots)]

    with app.running():
        bodies = [tasks.announce_and_wait_for(str(each), str(go)) for each in announced]
        until(lambda: all(each.exists() for each in announced))
        pids = {int(each.read_text()) for each in announced}
        until(lambda: slots_told(app) == 3 * slots)
        go.touch()
        for body in bodies:
            body.get(timeout=WAIT_S)
        until(lambda: sum(map(is_alive, pids)) == 1)

        assert len(pids) == 3
        assert tasks.pid().get(timeout=WAIT_S) in pids
        until(lambda: slots_told(app) == slots)


def test_less_than_the_least_is_refused(app: Pynenc) -> None:
    app.conf.min_processes, app.conf.max_processes = 4, 2

    with pytest.raises(ConfigurationError, match="min_processes=4 is more than max_processes=2"):
        app.runner.start()


def test_an_idle_runner_gets_what_another_one_has_behind_a_long_body(app: Pynenc, tmp_path: Path) -> None:
    app.conf.min_processes, app.conf.max_processes = 1, 1
    go = tmp_path / "go"
    slots = 1 if app.conf.runner_cls == "ProcessRunner" else 2
    announced = [tmp_path / f"announced {n}" for n in range(slots)]

    with app.running():
        # Bodies are known to be short, and are claimed ahead from here on.
        list(tasks.echo.parallelize([(n,) for n in range(300)]).results)
        long = [tasks.announce_and_wait_for(str(each), str(go)) for each in announced]
        behind = tasks.pid.parallelize([()] * 100)
        until(lambda: all(each.exists() for each in announced))
        with_long = {int(each.read_text()) for each in announced}
        other = RunnerProcess(
            "tests.runners.process_app",
            *("--runner", "process", "--processes", "1"),
            environment={"PYNENC_URL": app.conf.url},
            log=tmp_path / "other.log",
        )
        try:
            pids = set(behind.results)
        finally:
            go.touch()
            other.stop()
        for each in long:
            each.get(timeout=WAIT_S)

    # None of the hundred waited for the long ones to end.
    assert len(pids - with_long) == 1
    assert os.getpid() not in pids
