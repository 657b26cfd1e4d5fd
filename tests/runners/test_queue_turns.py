"""A runner chooses among its queues by rank, in turn, in the order in which they are named, or by lot."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.runners.queue_turns import QueueOrder
from tests.faults.processes import RunnerProcess
from tests.runners import process_app as tasks
from tests.runners.stage import Stage

NAMES = ("first", "second", "third")
CHOSEN = [QueueOrder.ROUND_ROBIN, QueueOrder.ORDERED, QueueOrder.RANDOM]


def stage_of(slots: int, order: QueueOrder, *, prefetch: bool = False, **limits: int) -> Stage:
    return Stage(slots=slots, prefetch=prefetch, queues=NAMES, queue_limits=limits, queue_order=order)


def run_all(stage: Stage) -> list[str]:
    """Let everything run, one body after the other; return the queues in the order in which bodies began."""
    began = []
    stage.settle()
    while stage.executor.claims:
        claim = stage.executor.claims[0]
        began.append(claim.queue)
        stage.executor.succeed(claim)
        stage.settle()
    return began


def test_by_rank_the_oldest_goes_first_in_whichever_queue_it_is() -> None:
    stage = stage_of(1, QueueOrder.BY_RANK)
    for queue in ("third", "first", "third", "second"):
        stage.submit(queue=queue)

    assert run_all(stage) == ["third", "first", "third", "second"]


def test_in_turn_each_queue_gives_one() -> None:
    stage = stage_of(1, QueueOrder.ROUND_ROBIN)
    for queue, count in (("third", 4), ("second", 2), ("first", 1)):
        stage.submit(count, queue=queue)

    assert run_all(stage) == ["first", "second", "third", "second", "third", "third", "third"]


def test_in_turn_several_slots_are_shared_between_the_queues() -> None:
    stage = stage_of(6, QueueOrder.ROUND_ROBIN)
    for queue in reversed(NAMES):
        stage.submit(20, queue=queue)

    stage.settle()

    assert Counter(claim.queue for claim in stage.executor.claims) == {"first": 2, "second": 2, "third": 2}


def test_in_turn_a_full_queue_never_has_all_that_is_claimed_ahead() -> None:
    stage = stage_of(2, QueueOrder.ROUND_ROBIN, prefetch=True)
    for queue in reversed(NAMES):
        stage.submit(60, queue=queue)

    began = Counter(run_all(stage)[:60])

    assert min(began.values()) >= 15


def test_slots_that_some_queues_cannot_fill_go_to_the_others() -> None:
    stage = stage_of(6, QueueOrder.ROUND_ROBIN)
    stage.submit(20, queue="second")

    stage.settle()

    assert Counter(claim.queue for claim in stage.executor.claims) == {"second": 6}


def test_ordered_a_queue_waits_until_those_before_it_are_empty() -> None:
    stage = stage_of(2, QueueOrder.ORDERED)
    for queue, count in (("third", 3), ("second", 2), ("first", 5)):
        stage.submit(count, queue=queue)

    assert run_all(stage) == ["first"] * 5 + ["second"] * 2 + ["third"] * 3


def test_ordered_what_comes_to_an_earlier_queue_goes_before_the_rest_of_a_later_one() -> None:
    stage = stage_of(1, QueueOrder.ORDERED)
    stage.submit(3, queue="third")
    stage.settle()

    stage.submit(2, queue="first")

    assert run_all(stage) == ["third", "first", "first", "third", "third"]


def test_by_lot_each_queue_comes_in_every_round() -> None:
    stage = stage_of(1, QueueOrder.RANDOM)
    for queue in NAMES:
        stage.submit(30, queue=queue)

    began = run_all(stage)

    rounds = [tuple(began[at : at + 3]) for at in range(0, 90, 3)]
    assert {frozenset(each) for each in rounds} == {frozenset(NAMES)}
    assert len(set(rounds)) > 1


@pytest.mark.parametrize("order", CHOSEN)
def test_every_queue_is_emptied_also_with_claims_ahead(order: QueueOrder) -> None:
    stage = stage_of(3, order, prefetch=True)
    for queue in NAMES:
        stage.submit(50, queue=queue)

    assert Counter(run_all(stage)) == dict.fromkeys(NAMES, 50)


@pytest.mark.parametrize("order", CHOSEN)
def test_an_idle_loop_that_chooses_sends_nothing_but_heartbeats_and_is_rung(order: QueueOrder) -> None:
    stage = stage_of(4, order)
    stage.settle()
    before = len(stage.store.exchanges)

    stage.pass_time(100.0)
    idle = len(stage.store.exchanges) - before
    stage.submit(queue="third")
    stage.settle()

    assert 29 <= idle <= 31
    assert [claim.queue for claim in stage.executor.claims] == ["third"]


@pytest.mark.parametrize("order", CHOSEN)
def test_no_queue_exceeds_its_limit_whatever_the_order(order: QueueOrder) -> None:
    stage = stage_of(6, order, first=1, third=2)
    for queue in NAMES:
        stage.submit(20, queue=queue)
    most: Counter[str] = Counter()

    stage.settle()
    while stage.executor.claims:
        most |= Counter(claim.queue for claim in stage.executor.claims)
        stage.executor.succeed(stage.executor.claims[0])
        stage.settle()

    assert (most["first"], most["third"]) == (1, 2)
    assert most["second"] >= 3


def test_a_runner_of_all_queues_says_that_it_does_not_choose(
    app: Pynenc, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.conf, "queues", ())
    app.conf.queue_selection_strategy = "ordered"
    app.conf.runner_cls = "ThreadRunner"

    with caplog.at_level(logging.WARNING), app.running():
        assert tasks.echo(1).get(timeout=60) == 1

    assert "queue_selection_strategy=ordered has no effect without `queues`" in caplog.text


def test_a_runner_process_serves_the_queues_in_the_order_it_was_given(app: Pynenc, tmp_path: Path) -> None:
    log = tmp_path / "began"
    invocations = [
        tasks.note_down.options(queue=queue)(str(log), f"{queue}{n}")
        for queue in ("third", "second", "first")
        for n in range(3)
    ]

    runner = RunnerProcess(
        "tests.runners.process_app",
        *("--runner", "process", "--processes", "1", "--queues", ",".join(NAMES)),
        environment={
            **os.environ,
            "PYNENC_URL": app.conf.url,
            "PYNENC__QUEUE_SELECTION_STRATEGY": "ordered",
            "PYNENC__PREFETCH": "false",
        },
        log=tmp_path / "runner.log",
    )
    try:
        for invocation in invocations:
            invocation.get(timeout=60)
    finally:
        runner.stop()

    assert log.read_text().split() == [f"{queue}{n}" for queue in NAMES for n in range(3)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'turns.db'}"
    yield app
    app.release_backend()
