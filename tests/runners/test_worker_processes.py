"""Worker processes: who dies is replaced, and nobody is blamed for what another one did."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import TaskTimeout
from pynenc.invocation import DistributedInvocation
from pynenc.io import run
from pynenc.model.ids import parse_id
from pynenc.model.records import Snapshot
from pynenc.model.status import Reason
from tests.faults.processes import RunnerProcess, is_alive, wait_until_gone
from tests.runners import process_app as tasks

pytestmark = pytest.mark.faults

WAIT_S = 60.0


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'processes.db'}"
    app.conf.runner_cls = "ProcessRunner"
    yield app
    app.release_backend()


@contextmanager
def running(app: Pynenc, *, workers: int, drain_timeout: float = 20.0) -> Iterator[None]:
    app.conf.num_processes = workers
    with app.running(drain_timeout=drain_timeout):
        yield


def until(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(6_000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


def snapshot(app: Pynenc, invocation: object) -> Snapshot:
    assert isinstance(invocation, DistributedInvocation)
    (found,) = run(app.backend.state_backend.snapshots([parse_id(invocation.invocation_id)]))
    assert found is not None
    return found


def reasons(app: Pynenc, invocation: object) -> list[Reason]:
    """Return why attempts ended, but for what waited for a new worker for a second and went back to the store."""
    found = [attempt.reason for attempt in snapshot(app, invocation).attempts]
    return [reason for reason in found if reason is not Reason.RELEASED]


def test_what_a_killed_worker_ran_runs_again_on_another_one(app: Pynenc, tmp_path: Path) -> None:
    announced, go = tmp_path / "announced", tmp_path / "go"

    with running(app, workers=1):
        invocation = tasks.announce_and_wait_for(str(announced), str(go))
        until(announced.exists)
        first = int(announced.read_text())
        os.kill(first, signal.SIGKILL)
        until(lambda: int(announced.read_text()) != first)
        go.touch()
        second = invocation.get(timeout=WAIT_S)

    assert second != first
    assert reasons(app, invocation) == [Reason.WORKER_CRASHED]
    assert "SIGKILL" in snapshot(app, invocation).attempts[0].detail


def test_what_a_killed_worker_ran_goes_to_an_idle_one_before_a_new_one_is_there(app: Pynenc, tmp_path: Path) -> None:
    announced, go = tmp_path / "announced", tmp_path / "go"

    with running(app, workers=2):
        both = tasks.meet.parallelize([(str(tmp_path / "room"), 2)] * 2)
        workers = set(both.results)
        invocation = tasks.announce_and_wait_for(str(announced), str(go))
        until(announced.exists)
        first = int(announced.read_text())
        os.kill(first, signal.SIGKILL)
        until(lambda: int(announced.read_text()) != first)
        go.touch()
        second = invocation.get(timeout=WAIT_S)

    assert {first, second} == workers


def test_only_the_body_that_ended_its_worker_counts_a_crash(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        # Short bodies go to a worker many at a time.
        list(tasks.echo.parallelize([(n,) for n in range(300)]).results)
        before = tasks.echo.parallelize([(n,) for n in range(30)])
        culprit = tasks.leave_once(str(tmp_path / "marker"))
        after = tasks.echo.parallelize([(n,) for n in range(30)])
        assert sum(before.results) + sum(after.results) == 2 * sum(range(30))
        assert culprit.get(timeout=WAIT_S) == "second run"

    assert reasons(app, culprit) == [Reason.WORKER_CRASHED]
    innocent = [*before.invocations, *after.invocations]
    assert [one for one in innocent if Reason.WORKER_CRASHED in reasons(app, one)] == []


def test_a_body_whose_worker_died_while_it_waited_starts_anew_uncounted(app: Pynenc, tmp_path: Path) -> None:
    with running(app, workers=1):
        parent = tasks.waits_for_a_leaver(str(tmp_path / "marker"))

        assert parent.get(timeout=WAIT_S) == "second run, seen"

    outcome = snapshot(app, parent).outcome
    assert outcome is not None
    assert (outcome.attempt, outcome.crashes) == (1, 0)


def test_a_long_body_keeps_no_others_from_running(app: Pynenc, tmp_path: Path) -> None:
    announced, go = tmp_path / "announced", tmp_path / "go"

    with running(app, workers=2):
        list(tasks.echo.parallelize([(n,) for n in range(300)]).results)
        long = tasks.announce_and_wait_for(str(announced), str(go))
        short = tasks.echo.parallelize([(n,) for n in range(200)])
        total = sum(short.results)
        ended_early = long.status.is_final()
        go.touch()
        long.get(timeout=WAIT_S)

    assert total == sum(range(200))
    assert not ended_early


def test_what_finds_no_slot_goes_to_another_runner(app: Pynenc, tmp_path: Path) -> None:
    go, log = tmp_path / "go", tmp_path / "other.log"
    app.conf.lease_seconds = 10.0

    with running(app, workers=1):
        list(tasks.echo.parallelize([(n,) for n in range(300)]).results)
        blocker = tasks.announce_and_wait_for(str(tmp_path / "announced"), str(go))
        short = tasks.echo.parallelize([(n,) for n in range(100)])
        until((tmp_path / "announced").exists)
        other = RunnerProcess(
            "tests.runners.process_app",
            *("--runner", "thread"),
            environment={"PYNENC_URL": app.conf.url},
            log=log,
        )
        try:
            total = sum(short.results)
        finally:
            go.touch()
            other.stop()
        blocker.get(timeout=WAIT_S)

    assert total == sum(range(100))


def test_a_body_that_blocks_in_c_is_killed_at_its_timeout(app: Pynenc) -> None:
    with running(app, workers=1):
        with pytest.raises(TaskTimeout):
            tasks.sleep_in_c(120.0).get(timeout=WAIT_S)

        assert tasks.echo(1).get(timeout=WAIT_S) == 1


def test_a_forked_child_that_returns_from_the_body_says_nothing(app: Pynenc) -> None:
    with running(app, workers=1):
        results = [tasks.fork_and_return_twice().get(timeout=WAIT_S) for _ in range(5)]

        assert tasks.echo(1).get(timeout=WAIT_S) == 1

    assert results == ["parent"] * 5


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the end of a process is only seen at its socket here")
def test_a_dead_worker_is_noticed_although_its_child_holds_the_socket(app: Pynenc, tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    with running(app, workers=1):
        result = tasks.leave_a_child_and_die_once(str(marker)).get(timeout=20.0)
        child = int(marker.read_text())
        child_lived = is_alive(child)
        os.kill(child, signal.SIGKILL)

    assert result == "second run"
    assert child_lived


def test_a_forked_child_may_submit(app: Pynenc) -> None:
    with running(app, workers=1):
        assert tasks.submit_in_a_child().get(timeout=WAIT_S) == 0


def test_programs_that_bodies_start_do_not_inherit_the_line_to_the_runner(app: Pynenc) -> None:
    with running(app, workers=1):
        assert tasks.open_descriptors_of_a_program().get(timeout=WAIT_S) == []


def test_draining_hands_back_what_does_not_end_and_counts_nothing(app: Pynenc, tmp_path: Path) -> None:
    announced = tmp_path / "announced"

    with running(app, workers=1, drain_timeout=0.2):
        invocation = tasks.announce_and_wait_for(str(announced), str(tmp_path / "never"))
        until(announced.exists)
        worker = int(announced.read_text())

    control = snapshot(app, invocation).control
    assert control is not None
    assert (control.attempt, control.crashes) == (0, 0)
    assert wait_until_gone([worker]) == []


def test_no_worker_survives_the_kill_of_its_runner(app: Pynenc, tmp_path: Path) -> None:
    announced = tmp_path / "announced"
    runner = RunnerProcess(
        "tests.runners.process_app",
        *("--runner", "process", "--processes", "2"),
        environment={"PYNENC_URL": app.conf.url},
        log=tmp_path / "runner.log",
    )
    tasks.announce_and_wait_for(str(announced), str(tmp_path / "never"))
    until(announced.exists)

    workers = runner.kill()

    assert len(workers) == 2
    assert wait_until_gone(workers) == []
