"""Whatever way a claim is on within a runner when somebody cancels it: its body does not begin, or stops."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.model.records import Cancelled, Claim, Completion, Exchange, SessionInfo, SessionKind
from pynenc.ports.executor import Executor, Finished
from pynenc.ports.stopping import StopReason
from pynenc.runners import sizing
from pynenc.runners.process_executor import ProcessExecutor
from tests.runners import process_app as tasks

WAIT_S = 60.0
LONG_S = 0.1
"""So long a body keeps nobody behind it."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'cancelled.db'}"
    app.conf.num_processes = 1
    yield app
    app.release_backend()


@pytest.fixture
def executor(app: Pynenc) -> Iterator[Executor]:
    """One worker process that has loaded the app."""
    processes = sizing.single(app.conf)
    executor = ProcessExecutor(
        app.execution,
        app.control,
        app.reference(),
        scaling=processes.scaling(),
        config=processes.worker,
        runner_name="test",
    )
    executor.start()
    until = time.monotonic() + WAIT_S
    while not executor.is_up() and time.monotonic() < until:
        executor.poll()
        time.sleep(0.01)
    yield executor
    executor.close(0.0)


def claimed(app: Pynenc, number: int) -> list[Claim]:
    info = SessionInfo(kind=SessionKind.RUNNER, name="test", host="", pid=0)
    session = run(app.control.open_session(info, lease_us=600_000_000))
    return list(run(app.control.exchange(Exchange(session=session, want=number))).claims)


def test_what_is_cancelled_while_a_worker_gives_it_back_runs_nowhere(
    app: Pynenc, executor: Executor, tmp_path: Path
) -> None:
    begun, go, log = tmp_path / "begun", tmp_path / "go", tmp_path / "log"
    tasks.announce_and_wait_for(str(begun), str(go))
    tasks.note_down(str(log), "ran")
    long, cancelled = claimed(app, 2)
    ended: dict[InvocationId, Completion] = {}

    executor.run([long, cancelled])
    while not begun.exists():
        executor.poll()
        time.sleep(0.01)
    time.sleep(LONG_S)
    executor.poll()  # asks the worker for what stands behind the long one
    executor.stop(cancelled.invocation_id, cancelled.epoch, StopReason.CANCEL, 1.0)
    go.touch()
    while len(ended) < 2:
        completions = [event.completion for event in executor.poll() if isinstance(event, Finished)]
        ended |= {completion.invocation_id: completion for completion in completions}
        time.sleep(0.01)

    assert isinstance(ended[cancelled.invocation_id], Cancelled)
    assert not log.exists()
