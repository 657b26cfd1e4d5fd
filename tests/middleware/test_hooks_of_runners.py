"""Hooks on real runners: where they run, and what interruptions do to them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import InvocationCancelled, TaskTimeout
from tests.middleware import hook_app

WAIT_S = 60.0
RUNNERS: dict[str, dict[str, object]] = {
    "ThreadRunner": {"max_threads": 1},
    "ProcessRunner": {"num_processes": 1},
    "AsyncRunner": {"concurrency": 2},
}


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return a function that reads what the hooks wrote."""
    path = tmp_path / "hooks"
    path.touch()
    monkeypatch.setenv("HOOK_FILE", str(path))
    return lambda: path.read_text(encoding="utf-8").splitlines()


@pytest.fixture(params=list(RUNNERS))
def app(request: pytest.FixtureRequest, lines: object, tmp_path: Path) -> Iterator[Pynenc]:
    app = hook_app.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'hooks.db'}"
    app.conf.runner_cls = request.param
    for name, value in RUNNERS[request.param].items():
        setattr(app.conf, name, value)
    yield app
    app.release_backend()


def until(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(6_000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


def test_hooks_run_where_the_body_does_and_are_flushed_with_every_process(
    app: Pynenc, lines: Callable[[], list[str]]
) -> None:
    with app.running(drain_timeout=20):
        assert hook_app.quick().get(timeout=WAIT_S) == "done"

    written = lines()
    before = [line for line in written if line.startswith("outer before")]
    worker = before[0].split()[-1]
    assert (worker != str(os.getpid())) == (app.conf.runner_cls == "ProcessRunner")
    assert [line.rpartition(" main")[0].rpartition(" thread")[0] or line for line in written if "after" in line] == [
        "inner after quick success NoneType same",
        "outer after quick success NoneType same",
    ]
    assert "outer settled quick success True" in written
    assert {line for line in written if "flushed" in line} == {
        f"{name} flushed {pid}" for name in ("outer", "inner") for pid in (os.getpid(), worker)
    }


def test_a_body_that_runs_out_of_time_is_told_to_its_hooks(app: Pynenc, lines: Callable[[], list[str]]) -> None:
    task = hook_app.doze if app.conf.runner_cls == "AsyncRunner" else hook_app.spin

    with app.running(drain_timeout=20), pytest.raises(TaskTimeout):
        task().get(timeout=WAIT_S)

    name = task.task_id.rpartition(".")[2]
    ending = "stopped CancelledError" if name == "doze" else "failed TimeIsUp"
    assert [line for line in lines() if "after" in line] == [
        f"inner after {name} {ending} same",
        f"outer after {name} {ending} same",
    ]
    assert f"outer settled {name} failed True" in lines()


@pytest.mark.parametrize("app", ["ThreadRunner", "ProcessRunner"], indirect=True)
def test_a_body_that_is_cancelled_is_told_to_its_hooks(
    app: Pynenc, lines: Callable[[], list[str]], tmp_path: Path
) -> None:
    marker = tmp_path / "began"

    with app.running(drain_timeout=20):
        invocation = hook_app.announce_and_spin(str(marker))
        until(marker.exists)
        invocation.cancel()
        with pytest.raises(InvocationCancelled):
            invocation.get(timeout=WAIT_S)

    assert [line for line in lines() if "after" in line] == [
        "inner after announce_and_spin cancelled CancelRequested same",
        "outer after announce_and_spin cancelled CancelRequested same",
    ]


@pytest.mark.parametrize("app", ["ThreadRunner", "ProcessRunner"], indirect=True)
def test_a_hook_that_is_interrupted_counts_as_the_body_and_the_others_are_called(
    app: Pynenc, lines: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "after"
    monkeypatch.setenv("HOOK_SLOW", str(marker))

    with app.running(drain_timeout=20):
        invocation = hook_app.quick()
        until(marker.exists)
        invocation.cancel()
        with pytest.raises(InvocationCancelled):
            invocation.get(timeout=WAIT_S)

    assert [line for line in lines() if "after" in line] == [
        "inner after quick success NoneType same",
        "outer after quick cancelled CancelRequested same",
    ]
