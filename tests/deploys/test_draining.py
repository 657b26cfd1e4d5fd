"""SIGTERM to real runners under load: what runs ends or is handed over, nothing is lost, nothing is counted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pynenc.invocation import InvocationStatus
from pynenc.io import run
from tests.deploys import deploy_app
from tests.deploys.conftest import Deployment, key_of, wait_until
from tests.deploys.kinds import ONE_SLOT, STORES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

EVERYWHERE = [*((kind, "sqlite") for kind in ONE_SLOT), *(("process", store) for store in STORES if store != "sqlite")]
each_kind_and_store = pytest.mark.parametrize(("kind", "store"), EVERYWHERE)
each_kind = pytest.mark.parametrize("kind", ONE_SLOT)


@each_kind_and_store
def test_a_drain_lets_bodies_end_and_hands_back_what_was_claimed_ahead_uncounted(
    deployment: Deployment, kind: str, tmp_path: Path
) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    runner = deployment.start(*ONE_SLOT[kind])
    # Short bodies, so that the runner claims ahead.
    list(deploy_app.short.parallelize([(n,) for n in range(50)]).results)

    running = deploy_app.hold(str(begun), str(until))
    waiting = list(deploy_app.short.parallelize([(n,) for n in range(100)]))
    wait_until(begun.exists, "the body begins")
    runner.send(signal.SIGTERM)
    wait_until(lambda: "drains" in deployment.log(), "the drain begins")
    until.touch()
    code = runner.wait()
    left = deployment.controls()
    with deployment.app.running():
        values = [running.get(timeout=60), *(each.get(timeout=60) for each in waiting)]

    assert code == 0
    assert {(each.attempt, each.owner) for each in left} <= {(0, None)}
    assert values == [1, *range(100)]
    assert deployment.executions("start")[key_of(running)] == 1
    assert {each.attempt for each in deployment.outcomes()} == {1}
    assert sum(deployment.executions("start").values()) == sum(deployment.executions("end").values()) == 151


@each_kind_and_store
def test_a_body_longer_than_the_grace_period_is_handed_over_uncounted_and_ends_elsewhere(
    deployment: Deployment, kind: str, tmp_path: Path
) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    hold = deploy_app.async_hold if kind == "async" else deploy_app.hold
    runner = deployment.start(*ONE_SLOT[kind], "--drain-timeout", "0.1")

    invocation = hold(str(begun), str(until))
    wait_until(begun.exists, "the body begins")
    code = runner.stop()
    handed_over = deployment.snapshot(invocation)
    until.touch()
    with deployment.app.running():
        value = invocation.get(timeout=60)

    assert code == 0
    assert handed_over.control is not None
    assert (handed_over.control.attempt, handed_over.control.crashes, handed_over.control.owner) == (0, 0, None)
    assert value == 1
    assert (outcome := deployment.snapshot(invocation).outcome) is not None
    assert (outcome.attempt, outcome.crashes) == (1, 0)
    assert deployment.executions("start")[key_of(invocation)] == 2
    assert "hands over 1 that did not end" in deployment.log()


@pytest.mark.parametrize(
    ("kind", "store", "number"),
    [*((*each, signal.SIGTERM) for each in EVERYWHERE), ("process", "sqlite", signal.SIGINT)],
)
def test_a_second_signal_hands_over_at_once_and_says_so_by_its_exit_code(
    deployment: Deployment, kind: str, number: signal.Signals, tmp_path: Path
) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    runner = deployment.start(*ONE_SLOT[kind], "--drain-timeout", "600")

    invocation = deploy_app.hold(str(begun), str(until))
    wait_until(begun.exists, "the body begins")
    runner.send(number)
    wait_until(lambda: "drains" in deployment.log(), "the drain begins")
    runner.send(number)
    code = runner.wait()
    handed_over = deployment.snapshot(invocation).control
    until.touch()
    with deployment.app.running():
        value = invocation.get(timeout=60)

    assert code == 128 + number
    assert handed_over is not None
    assert (handed_over.attempt, handed_over.crashes, handed_over.owner) == (0, 0, None)
    assert value == 1


@each_kind
def test_a_parent_and_the_child_it_waits_for_are_handed_over_and_the_child_is_found_again(
    deployment: Deployment, kind: str, tmp_path: Path
) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    runner = deployment.start(*ONE_SLOT[kind], "--drain-timeout", "0.1")

    invocation = deploy_app.waits_for(str(begun), str(until))
    wait_until(begun.exists, "the child begins")
    code = runner.stop()
    until.touch()
    with deployment.app.running():
        value = invocation.get(timeout=60)

    assert code == 0
    assert value == 1
    assert deployment.app.orchestrator.count_invocations() == 2
    assert deployment.app.orchestrator.count_invocations(statuses=[InvocationStatus.SUCCESS]) == 2
    assert (outcome := deployment.snapshot(invocation).outcome) is not None
    assert (outcome.attempt, outcome.crashes) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "store", "asynchronous"),
    [*((*each, False) for each in EVERYWHERE), ("async", "sqlite", True), ("thread", "sqlite", True)],
)
def test_the_last_runner_does_not_wait_for_what_nobody_is_left_to_run(
    deployment: Deployment, kind: str, asynchronous: bool
) -> None:
    """Without another runner the grace period of ten minutes would pass for nothing."""
    task = deploy_app.async_waits_for_elsewhere if asynchronous else deploy_app.waits_for_elsewhere
    runner = deployment.start(*ONE_SLOT[kind], "--queues", "default", "--drain-timeout", "600")

    invocation = task(7)
    wait_until(lambda: deployment.app.orchestrator.count_invocations() == 2, "the child is submitted")
    code = runner.stop()
    handed_over = deployment.snapshot(invocation).control
    with deployment.app.running():
        value = invocation.get(timeout=60)

    assert code == 0
    assert handed_over is not None
    assert (handed_over.attempt, handed_over.crashes, handed_over.owner) == (0, 0, None)
    assert value == 7
    assert deployment.app.orchestrator.count_invocations() == 2


@each_kind
def test_a_parent_that_waits_ends_here_while_another_runner_runs_its_child(deployment: Deployment, kind: str) -> None:
    runner = deployment.start(*ONE_SLOT[kind], "--queues", "default", "--drain-timeout", "600")
    invocation = deploy_app.waits_for_elsewhere(7)
    wait_until(lambda: deployment.app.orchestrator.count_invocations() == 2, "the child is submitted")

    deployment.app.pause("elsewhere")
    deployment.app.conf.queues = ("elsewhere",)
    with deployment.app.running():
        runner.send(signal.SIGTERM)
        wait_until(lambda: "drains" in deployment.log(), "the drain begins")
        deployment.app.resume("elsewhere")
        value = invocation.get(timeout=60)
        code = runner.wait()

    assert (code, value) == (0, 7)
    assert deployment.executions("start")[key_of(invocation)] == 1


@each_kind
def test_a_signal_while_a_runner_starts_ends_it_in_good_order(deployment: Deployment, kind: str) -> None:
    """Sent at different moments: while Python starts, while the app is imported, while workers come up."""
    codes = []
    for lines in (0, 1, 2):
        runner = deployment.start_without_waiting(*ONE_SLOT[kind])
        (deployment.folder / "runners.log").write_text("")
        wait_until(lambda lines=lines: deployment.log().count("\n") >= lines, "it gets that far")  # type: ignore[misc]
        codes.append(runner.stop())

    # Before its handler is there Python ends by the signal itself.
    assert codes[0] in (0, -signal.SIGTERM)
    assert codes[1:] == [0, 0]
    assert deployment.pids() <= {os.getpid()}


def test_a_signal_while_the_app_is_imported_ends_in_good_order(deployment: Deployment, tmp_path: Path) -> None:
    importing = tmp_path / "importing"
    (tmp_path / "slow_app.py").write_text(
        "import pathlib, time\n"
        "from pynenc import Pynenc\n"
        "app = Pynenc()\n"
        f"pathlib.Path({str(importing)!r}).touch()\n"
        "time.sleep(600)\n"
    )

    runner = deployment.start_without_waiting(app=str(tmp_path / "slow_app.py"))
    wait_until(importing.exists, "the import begins")

    assert runner.stop() == 0


@each_kind
def test_a_signal_to_every_process_of_the_service_is_a_drain_like_any_other(
    deployment: Deployment, kind: str, tmp_path: Path
) -> None:
    """As systemd sends it by default, to runner and workers alike."""
    begun, until = tmp_path / "begun", tmp_path / "until"
    runner = deployment.start(*ONE_SLOT[kind])

    invocation = deploy_app.hold(str(begun), str(until))
    wait_until(begun.exists, "the body begins")
    for pid in (*runner.workers, runner.pid):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "drains" in deployment.log(), "the drain begins")
    until.touch()
    code = runner.wait()

    assert code == 0
    assert (outcome := deployment.snapshot(invocation).outcome) is not None
    assert (outcome.status, outcome.attempt, outcome.crashes) == (InvocationStatus.SUCCESS, 1, 0)
    assert deployment.executions("start")[key_of(invocation)] == 1
    assert run(deployment.app.control.verify()) == []
