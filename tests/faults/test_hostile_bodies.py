"""Bodies that misbehave end as their own error; the runner and everybody else's work go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc.errors import SerializationError, TaskFailed, WorkerLost
from tests.faults import hostile_app
from tests.faults.hostile_app import app
from tests.faults.processes import RunnerProcess

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

WAIT_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    url = f"sqlite:///{folder / 'hostile.db'}"
    app.conf.url = url
    environment = {"PYNENC_URL": url, "PYNENC__MAX_CRASHES": "2"}
    process = RunnerProcess(
        "tests.faults.hostile_app",
        *("--runner", "process", "--processes", "1"),
        environment=environment,
        log=folder / "runner.log",
    )
    yield process
    code = process.stop()
    app.close()
    assert code == 0


@pytest.fixture(autouse=True)
def _others_go_on() -> Iterator[None]:
    yield
    assert hostile_app.ping(7).get(timeout=WAIT_S) == 7


def test_a_body_that_kills_its_worker_every_time_fails_with_the_reason() -> None:
    app.conf.max_crashes = 2
    invocation = hostile_app.leave(9)

    with pytest.raises(WorkerLost, match="worker died 3 times"):
        invocation.get(timeout=WAIT_S)

    assert [entry.status.value for entry in invocation.history].count("killed") == 3


def test_a_body_that_kills_its_worker_once_runs_again(tmp_path: Path) -> None:
    assert hostile_app.leave_once(str(tmp_path / "marker")).get(timeout=WAIT_S) == "second run"


def test_a_body_may_fork() -> None:
    assert hostile_app.fork_and_leave_the_child().get(timeout=WAIT_S) == 0


def test_a_body_may_close_the_standard_streams() -> None:
    assert hostile_app.close_standard_streams().get(timeout=WAIT_S) == "closed"


def test_a_base_exception_is_a_failure_that_does_not_end_the_caller() -> None:
    with pytest.raises(TaskFailed, match="through everything") as caught:
        hostile_app.raise_base().get(timeout=WAIT_S)

    assert caught.value.remote_type.endswith("NotAnException")


def test_sys_exit_is_a_failure_and_ends_nothing() -> None:
    invocation = hostile_app.raise_exit()

    with pytest.raises(TaskFailed, match="SystemExit"):
        invocation.get(timeout=WAIT_S)

    assert invocation.status.value == "failed"


def test_fifty_megabytes_come_back() -> None:
    result = hostile_app.huge(50_000_000).get(timeout=WAIT_S)

    assert len(result) == 50_000_000


def test_a_million_printed_lines_stall_nothing() -> None:
    assert hostile_app.chatter(1_000_000).get(timeout=120) == 1_000_000


def test_a_result_that_cannot_be_stored_fails_by_name() -> None:
    with pytest.raises(SerializationError, match="lock"):
        hostile_app.not_storable().get(timeout=WAIT_S)


def test_runaway_recursion_is_a_failure() -> None:
    with pytest.raises(RecursionError):
        hostile_app.recurse(100_000).get(timeout=WAIT_S)


def test_a_task_that_is_unknown_to_the_runner_is_handed_back_not_lost() -> None:
    unknown = app.task(_later_defined)
    unknown.task_id = "tests.faults.hostile_app.not_defined_there"

    invocation = unknown()

    assert hostile_app.ping(1).get(timeout=WAIT_S) == 1
    assert not invocation.status.is_final()
    assert invocation.cancel()


def _later_defined() -> None: ...


def test_each_body_sees_its_own_invocation() -> None:
    invocation = hostile_app.who()

    assert invocation.get(timeout=WAIT_S) == invocation.invocation_id
