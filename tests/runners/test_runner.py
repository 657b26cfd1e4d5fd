"""Starting and stopping runners."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import ConfigurationError, NotYetAvailable, RunnerError, StoreError, StoreUnavailable
from pynenc.io import run
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.passing import PassingOrchestrator
from pynenc.runners.runner import ProcessRunner, runner_class


def app_on(url: str, runner: str = "ThreadRunner") -> Pynenc:
    return Pynenc(url, app_id="runner_tests", config_values={"runner_cls": runner})


def test_a_started_runner_has_its_session() -> None:
    app = app_on("memory://")

    app.runner.start()
    sessions = run(app.control.list_sessions())
    app.runner.drain(5.0)

    assert len(sessions) == 1
    assert not app.runner.is_running
    assert run(app.control.list_sessions()) == []


def test_what_keeps_a_runner_from_starting_is_raised(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are notes, not a database. " * 200)
    app = app_on(f"sqlite:///{tmp_path / 'notes.db'}")

    with pytest.raises(StoreError):
        app.runner.start()

    assert not app.runner.is_running


def test_one_object_runs_once_at_a_time() -> None:
    app = app_on("memory://")
    app.runner.start()

    with pytest.raises(RunnerError, match="runs already"):
        app.runner.start()

    app.runner.drain(5.0)


def test_stopping_from_another_thread_ends_run_and_it_can_run_again() -> None:
    app = app_on("memory://")
    runner = app.runner

    for _ in range(2):
        thread = threading.Thread(target=runner.run)
        thread.start()
        while not runner.is_running:
            threading.Event().wait(0.001)
        runner.stop_runner_loop()
        thread.join(30.0)
        assert not thread.is_alive()


def test_the_dummy_runner_says_that_it_runs_nothing() -> None:
    with pytest.raises(RunnerError, match="choose another"):
        app_on("memory://", "DummyRunner").runner.run()


def test_runners_are_found_by_their_published_names() -> None:
    assert runner_class("pynenc.runner.ProcessRunner") is ProcessRunner

    with pytest.raises(ConfigurationError, match="ThreadRunner"):
        runner_class("SlowRunner")
    with pytest.raises(NotYetAvailable):
        runner_class("RayRunner")


class WithoutBell(PassingOrchestrator):
    """A store that opens no doorbell."""

    def doorbell(self) -> Doorbell:
        raise StoreUnavailable("no descriptor is left")


@pytest.mark.parametrize("kind", ["ThreadRunner", "ProcessRunner", "AsyncRunner", "HybridRunner"])
def test_a_runner_that_cannot_start_leaves_nothing_open(kind: str, tmp_path: Path) -> None:
    app = app_on(f"sqlite:///{tmp_path / 'bare.db'}", kind)
    app.use_orchestrator(WithoutBell(app.backend.orchestrator))
    before = set(os.listdir("/proc/self/fd"))

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            app.runner.start()

    assert set(os.listdir("/proc/self/fd")) == before
