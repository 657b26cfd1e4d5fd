"""Limits of worker processes: what exceeds one ends as its own kind of error, and tells what was seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import ConfigurationError, TaskCpuTimeExceeded, TaskMemoryExceeded, TaskTimeout, WorkerLost
from pynenc.model.status import Reason
from pynenc.runners import worker_fleet
from tests.faults.processes import wait_until_gone
from tests.runners import hanging_app
from tests.runners import process_app as tasks
from tests.runners.test_worker_processes import reasons, snapshot, until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells what a process uses"),
]

WAIT_S = 60.0
MIB = 2**20


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'limits.db'}"
    app.conf.runner_cls = "ProcessRunner"
    yield app
    app.release_backend()


@contextmanager
def running(app: Pynenc, *, workers: int = 1, **settings: object) -> Iterator[None]:
    app.conf.num_processes = workers
    before = {name: getattr(app.conf, name) for name in settings}
    for name, value in settings.items():
        setattr(app.conf, name, value)
    try:
        with app.running(drain_timeout=20.0):
            yield
    finally:
        for name, value in before.items():
            setattr(app.conf, name, value)


# --- what a body may use --------------------------------------------------------------------------------


def test_a_body_that_computes_too_long_ends_as_such(app: Pynenc) -> None:
    with running(app):
        tasks.echo(1).get(timeout=WAIT_S)
        with pytest.raises(TaskCpuTimeExceeded, match=r"more than its 0\.2 s of processor time") as caught:
            tasks.compute_for_ever().get(timeout=WAIT_S)

    assert "compute_for_ever" in caught.value.stack


def test_a_body_that_computes_in_c_is_killed(app: Pynenc) -> None:
    with running(app):
        with pytest.raises(TaskCpuTimeExceeded, match="its worker was ended") as caught:
            tasks.compute_in_c().get(timeout=WAIT_S)
        assert tasks.echo(1).get(timeout=WAIT_S) == 1

    assert "compute_in_c" in caught.value.stack


def test_sleeping_uses_no_processor_time(app: Pynenc) -> None:
    with running(app):
        assert tasks.sleep_within_cpu_limit(0.3).get(timeout=WAIT_S) == "done"


def test_a_body_that_hangs_in_c_shows_where_and_what_it_logged(app: Pynenc) -> None:
    with running(app), pytest.raises(TaskTimeout) as caught:
        tasks.hang_in_c(60).get(timeout=WAIT_S)

    error = caught.value
    assert "hang_in_c" in error.stack
    assert "going to hang" in error.log_lines[-1]
    assert error.peak_memory_bytes > MIB
    assert "hang_in_c" in "".join(error.__notes__)


def test_a_body_that_is_interrupted_shows_where(app: Pynenc) -> None:
    with running(app):
        # What a body needs for the first time is loaded by then: the next one is interrupted in its own code.
        tasks.echo(1).get(timeout=WAIT_S)
        with pytest.raises(TaskTimeout, match=r"exceeded its timeout of 0\.2 s") as caught:
            tasks.loop_for_ever().get(timeout=WAIT_S)

    assert "loop_for_ever" in caught.value.stack


def test_a_body_above_the_hard_memory_limit_fails_and_says_how_much_it_took(app: Pynenc) -> None:
    with running(app, worker_hard_memory_limit=200 * MIB):
        with pytest.raises(TaskMemoryExceeded, match="its worker was ended") as caught:
            tasks.grow(2_000).get(timeout=WAIT_S)
        assert tasks.echo(1).get(timeout=WAIT_S) == 1

    error = caught.value
    assert 200 * MIB < error.peak_memory_bytes < 2_000 * MIB
    assert "about to take 2000 MiB" in error.log_lines[-1]


def test_the_hard_memory_limit_holds_for_a_body_that_has_waited(app: Pynenc) -> None:
    with running(app, worker_hard_memory_limit=200 * MIB), pytest.raises(TaskMemoryExceeded):
        tasks.wait_then_grow(2_000).get(timeout=WAIT_S)


def test_what_waits_beside_a_body_that_is_killed_for_its_memory_is_named(app: Pynenc) -> None:
    with running(app, worker_hard_memory_limit=300 * MIB), pytest.raises(TaskMemoryExceeded) as caught:
        tasks.hold_and_wait(150, 2_000).get(timeout=WAIT_S)

    told = str(caught.value)
    assert "process_app.grow used more memory than its worker process may" in told
    assert "what waits in the same process may hold the memory: tests.runners.process_app.hold_and_wait" in told


def test_a_stopped_body_that_waits_while_it_cleans_up_is_ended_by_force_all_the_same(app: Pynenc) -> None:
    with running(app):
        tasks.echo(1).get(timeout=WAIT_S)
        with pytest.raises(TaskTimeout, match="did not stop when asked") as caught:
            tasks.clean_up_for_ever().get(timeout=WAIT_S)

    assert "clean_up_for_ever" in caught.value.stack


def test_the_limit_of_processor_time_holds_for_a_body_that_has_waited(app: Pynenc) -> None:
    with running(app), pytest.raises(TaskCpuTimeExceeded):
        tasks.wait_then_compute().get(timeout=WAIT_S)


def test_a_memory_hog_is_tried_again_if_its_task_says_so(app: Pynenc) -> None:
    with running(app, worker_hard_memory_limit=200 * MIB):
        invocation = tasks.grow_again(2_000)
        with pytest.raises(TaskMemoryExceeded):
            invocation.get(timeout=WAIT_S)

    assert reasons(app, invocation) == [Reason.RETRY]


# --- workers that are replaced between bodies -----------------------------------------------------------


def test_a_replaced_worker_whose_middleware_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hanging_app.RUNNER, str(os.getpid()))
    monkeypatch.setattr(worker_fleet, "_LEAVING_S", 0.3)
    app = hanging_app.app
    app.conf.url = f"sqlite:///{tmp_path / 'hanging.db'}"
    app.conf.runner_cls = "ProcessRunner"

    with running(app, worker_max_tasks=1):
        first = hanging_app.pid().get(timeout=WAIT_S)
        left = wait_until_gone([first])

    app.release_backend()
    assert left == []


def test_a_worker_serves_no_more_bodies_than_it_may(app: Pynenc) -> None:
    with running(app, worker_max_tasks=3):
        served = Counter(tasks.pid.parallelize([()] * 20).results)

    assert max(served.values()) == 3
    assert sum(served.values()) == 20


def test_a_worker_that_grew_too_large_is_replaced_and_nothing_fails(app: Pynenc) -> None:
    with running(app, worker_memory_limit=150 * MIB):
        served = list(tasks.leak.parallelize([(60,)] * 8).results)

    # Each can hold two of them above what it needs itself.
    assert max(Counter(served).values()) <= 3
    assert len(set(served)) >= 3


def test_a_worker_that_grew_old_is_replaced_and_nothing_fails(app: Pynenc) -> None:
    with running(app, worker_max_age=0.5):
        first = tasks.pid().get(timeout=WAIT_S)
        until(lambda: tasks.pid().get(timeout=WAIT_S) != first)


def test_a_body_that_waits_keeps_its_old_worker_until_it_is_done(app: Pynenc, tmp_path: Path) -> None:
    with running(app, worker_max_tasks=1):
        parent = tasks.waits_for_a_leaver(str(tmp_path / "marker"))

        assert parent.get(timeout=WAIT_S) == "second run, seen"

    assert reasons(app, parent) == [Reason.WAITED]


# --- workers that die -----------------------------------------------------------------------------------


def test_a_body_that_crashes_in_c_again_and_again_fails_and_shows_where(app: Pynenc) -> None:
    with running(app, max_crashes=1):
        invocation = tasks.die_in_c()
        with pytest.raises(WorkerLost, match="SIGSEGV") as caught:
            invocation.get(timeout=WAIT_S)

    text = str(caught.value)
    assert "worker died 2 times" in text
    assert "die_in_c" in text
    assert "these were my last words" in text
    assert reasons(app, invocation) == [Reason.WORKER_CRASHED] * 2


def test_a_killed_worker_tells_its_last_log_lines(app: Pynenc, tmp_path: Path) -> None:
    announced, go = tmp_path / "announced", tmp_path / "go"

    with running(app):
        invocation = tasks.announce_and_wait_for(str(announced), str(go))
        until(announced.exists)
        os.kill(int(announced.read_text()), signal.SIGKILL)
        go.touch()
        invocation.get(timeout=WAIT_S)

    (attempt, *_) = snapshot(app, invocation).attempts
    assert attempt.detail.splitlines()[0].startswith("signal SIGKILL")


@pytest.fixture
def cramped() -> Iterator[Path]:
    """A control group that gets no more than 150 MiB."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (old if old.is_dir() else new) / f"pynenc-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")
        limit.write_text(str(150 * MIB))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no control group with a limit of memory can be made here: {error}")
    yield group
    until(lambda: not group.joinpath("cgroup.procs").read_text())
    group.rmdir()


def test_a_worker_that_the_kernel_kills_for_its_memory_is_told_of_as_such(
    app: Pynenc, tmp_path: Path, cramped: Path
) -> None:
    command = f"echo $$ > {cramped}/cgroup.procs; exec {sys.executable} -m pynenc --app tests.runners.process_app "
    runner = subprocess.Popen(
        ["sh", "-c", command + "runner start --runner process --processes 1"],
        env={**os.environ, "PYNENC_URL": app.conf.url},
        stderr=subprocess.DEVNULL,
    )
    app.conf.max_crashes = 0
    try:
        with pytest.raises(WorkerLost, match="from the kernel: out of memory"):
            tasks.grow(2_000).get(timeout=WAIT_S)
    finally:
        app.conf.max_crashes = 5
        runner.terminate()
        runner.wait(timeout=30)


# --- settings -------------------------------------------------------------------------------------------


def test_sizes_are_read_as_people_write_them(app: Pynenc) -> None:
    sizes = {"300MB": 300 * MIB, "1.5 GiB": 3 * 2**29, "4096": 4096, 4096: 4096, "64k": 2**16}

    for written, expected in sizes.items():
        app.conf.worker_memory_limit = written
        assert app.conf.worker_memory_limit == expected
    app.conf.worker_memory_limit = None


@pytest.mark.parametrize("written", ["0", "-1", "many", "3 parsecs", "nan", True])
def test_what_is_no_size_is_refused(app: Pynenc, written: object) -> None:
    with pytest.raises(ConfigurationError, match="worker_memory_limit"):
        app.conf.worker_memory_limit = written
