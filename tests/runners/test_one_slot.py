"""Waiting gives the slot back: no tree of tasks can deadlock a runner, however small."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pynenc import Pynenc, Task
from pynenc.errors import InvocationCancelled, TaskTimeout, WaitCycle
from pynenc.invocation import InvocationStatus
from pynenc.io import run
from tests.runners import runner_app as tasks

WAIT_S = 90.0


def test_a_recursive_fibonacci_finishes_on_one_slot(app: Pynenc) -> None:
    recursive = tasks.async_fibonacci if app.conf.runner_cls == "AsyncRunner" else tasks.fibonacci

    assert recursive(15).get(timeout=WAIT_S) == 610
    assert run(app.control.verify()) == []


def test_a_chain_of_two_hundred_waits_finishes_on_one_slot(app: Pynenc) -> None:
    assert tasks.chain(200).get(timeout=WAIT_S) == 200


def test_an_asynchronous_chain_finishes_on_one_slot(app: Pynenc) -> None:
    assert tasks.async_chain(50).get(timeout=WAIT_S) == 50


def test_a_wait_cycle_is_an_error_that_names_it(app: Pynenc) -> None:
    invocation = tasks.cycle()

    with pytest.raises(WaitCycle) as caught:
        invocation.get(timeout=WAIT_S)

    assert invocation.invocation_id in caught.value.cycle
    assert "wait_for" in str(caught.value)


@pytest.mark.parametrize("begin", [tasks.async_cycle, tasks.mixed_cycle])
def test_a_cycle_through_coroutines_is_named_as_well(app: Pynenc, begin: Task[[], object]) -> None:
    invocation = begin()

    with pytest.raises(WaitCycle) as caught:
        invocation.get(timeout=WAIT_S)

    assert invocation.invocation_id in caught.value.cycle


def test_an_attempt_is_stopped_at_its_timeout(app: Pynenc) -> None:
    with pytest.raises(TaskTimeout, match=r"0\.2 s"):
        tasks.spin.options(timeout=0.2)(30.0).get(timeout=WAIT_S)

    assert tasks.echo(1).get(timeout=WAIT_S) == 1


def test_a_coroutine_is_stopped_at_its_timeout(app: Pynenc) -> None:
    with pytest.raises(TaskTimeout):
        tasks.doze.options(timeout=0.2)(30.0).get(timeout=WAIT_S)


def test_a_running_body_is_cancelled(app: Pynenc, tmp_path: Path) -> None:
    began = tmp_path / "began"
    invocation = tasks.touch_and_spin(str(began), 60.0)
    _wait_for_file(began)

    invocation.cancel(reason="enough")

    with pytest.raises(InvocationCancelled):
        invocation.get(timeout=WAIT_S)
    assert tasks.echo(1).get(timeout=WAIT_S) == 1


def test_a_body_waits_no_longer_than_its_wait_timeout(app: Pynenc) -> None:
    slow = tasks.doze.options(delay=3600)(0.0)
    waiting = tasks.wait_for.options(wait_timeout=0.2)(slow.invocation_id)

    with pytest.raises(TimeoutError, match="wait_timeout"):
        waiting.get(timeout=WAIT_S)

    assert slow.status is InvocationStatus.REGISTERED


def test_an_invocation_as_an_argument_is_waited_for(app: Pynenc) -> None:
    assert tasks.plus_one(tasks.echo(1)).get(timeout=WAIT_S) == 2  # type: ignore[arg-type]


def _wait_for_file(path: Path) -> None:
    tick = threading.Event()
    for _ in range(3_000):
        if path.exists():
            return
        tick.wait(0.01)
    raise AssertionError("the body did not begin")
