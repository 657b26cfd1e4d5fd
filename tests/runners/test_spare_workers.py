"""Spare worker processes: ready, without work, until they take the place of one that is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import TaskTimeout
from pynenc.io import run
from tests.faults.processes import RunnerProcess, children_of, wait_until_gone
from tests.runners import process_app as tasks
from tests.runners.test_worker_processes import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

WAIT_S = 60.0
Workers = Callable[[], set[int]]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'spares.db'}"
    app.conf.runner_cls = "ProcessRunner"
    app.conf.num_processes = app.conf.spare_workers = 1
    yield app
    app.conf.spare_workers = app.conf.worker_max_tasks = 0
    app.conf.worker_max_age = None
    app.release_backend()


@contextmanager
def running(app: Pynenc) -> Iterator[tuple[Workers, int]]:
    """Run one worker and a spare; yield what tells the worker processes there are, and the process of the spare."""
    others = set(children_of(os.getpid()))

    def workers() -> set[int]:
        return set(children_of(os.getpid())) - others

    with app.running():
        serving = tasks.pid().get(timeout=WAIT_S)
        until(lambda: len(workers()) == 2)
        (spare,) = workers() - {serving}
        yield workers, spare


def test_a_spare_runs_what_a_lone_worker_died_of_and_a_new_spare_follows(app: Pynenc, tmp_path: Path) -> None:
    with running(app) as (workers, spare):
        announced, go = tmp_path / "announced", tmp_path / "go"
        body = tasks.announce_and_wait_for(str(announced), str(go))
        until(announced.exists)
        killed = int(announced.read_text())
        os.kill(killed, signal.SIGKILL)
        until(lambda: int(announced.read_text()) != killed)
        until(lambda: len(workers() - {killed}) == 2)
        go.touch()

        assert body.get(timeout=WAIT_S) == spare


def test_a_spare_counts_in_no_slot(app: Pynenc, tmp_path: Path) -> None:
    announced, go = tmp_path / "announced", tmp_path / "go"

    with running(app) as (_, spare):
        (session,) = [row for row in run(app.control.list_sessions()) if row.info.slots]
        first = tasks.announce_and_wait_for(str(announced), str(go))
        until(announced.exists)
        second = tasks.pid()
        go.touch()

        assert (session.info.slots, session.info.most_slots) == (1, 1)
        assert first.get(timeout=WAIT_S) == second.get(timeout=WAIT_S) != spare


def test_a_spare_takes_the_place_of_a_worker_that_is_killed_for_its_time(app: Pynenc) -> None:
    with running(app) as (_, spare):
        with pytest.raises(TaskTimeout):
            tasks.sleep_in_c(60.0).get(timeout=WAIT_S)

        assert tasks.pid().get(timeout=WAIT_S) == spare


def test_a_spare_takes_the_place_of_a_worker_that_served_enough(app: Pynenc) -> None:
    app.conf.worker_max_tasks = 2

    with running(app) as (_, spare):
        served = [tasks.pid().get(timeout=WAIT_S) for _ in range(3)]

    assert served[0] != spare
    assert served[1:] == [spare, spare]


def test_a_spare_that_dies_or_grows_old_is_replaced(app: Pynenc) -> None:
    app.conf.worker_max_age = 0.5

    with running(app) as (workers, spare):
        os.kill(spare, signal.SIGKILL)
        until(lambda: len(workers() - {spare}) == 2)
        before = workers()
        until(lambda: len(workers()) == 2 and workers().isdisjoint(before))

        assert tasks.pid().get(timeout=WAIT_S) != spare


def test_spares_end_with_their_runner(app: Pynenc, tmp_path: Path) -> None:
    with running(app) as (workers, _):
        drained = workers()
    runner = RunnerProcess(
        "tests.runners.process_app",
        *("--runner", "hybrid", "--processes", "1"),
        environment={"PYNENC_URL": app.conf.url, "PYNENC__SPARE_WORKERS": "2"},
        log=tmp_path / "runner.log",
    )
    until(lambda: len(runner.workers) == 3)

    killed = runner.kill()

    assert wait_until_gone([*drained, *killed]) == []
