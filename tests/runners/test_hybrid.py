"""Several bodies in each worker process: they run side by side, and only the one at fault is blamed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import TaskTimeout, WorkerLost
from pynenc.model.status import Reason
from tests.runners import process_app as tasks
from tests.runners.test_worker_processes import reasons, running, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

WAIT_S = 90.0
SLOTS = 4


@pytest.fixture(params=["threads", "asyncio"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'hybrid.db'}"
    app.conf.runner_cls = "HybridRunner"
    app.conf.worker_mode = request.param
    app.conf.concurrency = SLOTS
    max_crashes = app.conf.max_crashes
    app.conf.max_crashes = 2
    yield app
    app.conf.max_crashes = max_crashes
    app.release_backend()


class Neighbours:
    """Bodies that run until they are told to end."""

    def __init__(self, app: Pynenc, folder: Path, count: int) -> None:
        body = tasks.announce_and_await if app.conf.worker_mode == "asyncio" else tasks.announce_and_wait_for
        self.go = folder / "go"
        self._announced = [folder / f"announced {n}" for n in range(count)]
        self.invocations = [body(str(announced), str(self.go)) for announced in self._announced]
        until(lambda: all(announced.exists() for announced in self._announced))

    @property
    def pids(self) -> set[int]:
        return {int(announced.read_text()) for announced in self._announced}

    def end(self) -> list[int]:
        self.go.touch()
        return [invocation.get(timeout=WAIT_S) for invocation in self.invocations]


def test_bodies_run_side_by_side_in_one_process(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        neighbours = Neighbours(app, tmp_path, SLOTS)
        pids = neighbours.pids

        assert neighbours.end() == [*pids] * SLOTS


def test_a_worker_that_may_run_no_more_is_replaced_while_its_bodies_go_on(
    app: Pynenc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.conf, "worker_max_tasks", 2)

    with running(app, workers=1):
        neighbours = Neighbours(app, tmp_path, SLOTS)
        pids = neighbours.pids
        neighbours.end()

    assert len(pids) == 2


def test_slots_of_all_processes_are_used(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=2):
        neighbours = Neighbours(app, tmp_path, 2 * SLOTS)

        assert len(neighbours.pids) == 2
        neighbours.end()


def test_only_the_body_that_ended_the_worker_counts_a_crash(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        neighbours = Neighbours(app, tmp_path, SLOTS - 1)
        first = neighbours.pids

        culprit = tasks.leave_once(str(tmp_path / "left"))
        again = culprit.get(timeout=WAIT_S)
        until(lambda: not first & neighbours.pids)
        neighbours.end()

    assert again == "second run"
    # Its first end was one of four: it is not known whose it was, and its second run, apart, went well.
    assert reasons(app, culprit) == []
    assert [reasons(app, each) for each in neighbours.invocations] == [[]] * (SLOTS - 1)


def test_a_body_that_always_ends_its_worker_fails_alone(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        neighbours = Neighbours(app, tmp_path, SLOTS - 1)

        poison = tasks.leave()
        with pytest.raises(WorkerLost, match="worker died 3 times"):
            poison.get(timeout=WAIT_S)
        neighbours.end()

    assert reasons(app, poison) == [Reason.WORKER_CRASHED] * 3
    assert [reasons(app, each) for each in neighbours.invocations] == [[]] * (SLOTS - 1)


def test_a_body_that_is_killed_at_its_timeout_leaves_its_neighbours_uncounted(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        neighbours = Neighbours(app, tmp_path, SLOTS - 1)
        first = neighbours.pids

        with pytest.raises(TaskTimeout):
            tasks.sleep_in_c(120.0).get(timeout=WAIT_S)
        until(lambda: not first & neighbours.pids)
        neighbours.end()

    assert [reasons(app, each) for each in neighbours.invocations] == [[]] * (SLOTS - 1)


def test_a_worker_killed_from_outside_costs_nobody_an_attempt(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        neighbours = Neighbours(app, tmp_path, SLOTS)
        first = neighbours.pids

        os.kill(first.copy().pop(), signal.SIGKILL)
        until(lambda: not first & neighbours.pids)
        neighbours.end()

    assert [reasons(app, each) for each in neighbours.invocations] == [[]] * SLOTS


def test_long_bodies_keep_no_short_ones_from_running(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        list(tasks.echo.parallelize([(n,) for n in range(300)]).results)
        neighbours = Neighbours(app, tmp_path, SLOTS - 1)

        assert sum(tasks.echo.parallelize([(n,) for n in range(200)]).results) == sum(range(200))
        neighbours.end()
