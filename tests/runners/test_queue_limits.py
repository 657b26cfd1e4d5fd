"""At most so many bodies of a queue at a time in one runner; the others are not held up by it."""

from __future__ import annotations

from collections import Counter

import pytest

from pynenc import Pynenc
from pynenc.errors import ConfigurationError
from pynenc.model.records import Suspend
from pynenc.ports.executor import WaitWanted
from pynenc.runners.queue_limits import QueueLimits
from tests.runners.stage import Stage


def stage_of(slots: int, *, prefetch: bool = False, **limits: int) -> Stage:
    return Stage(slots=slots, prefetch=prefetch, queues=("mail", "default"), queue_limits=limits)


def in_hand(stage: Stage) -> Counter[str]:
    return Counter(claim.queue for claim in stage.executor.claims)


def test_a_queue_never_has_more_than_its_limit() -> None:
    stage = stage_of(8, mail=2)
    stage.submit(20, queue="mail")
    most = 0

    for _ in range(20):
        stage.settle()
        most = max(most, in_hand(stage)["mail"])
        stage.executor.succeed(stage.executor.claims[0])
    stage.settle()

    assert most == 2
    assert stage.executor.claims == []


def test_a_full_queue_holds_up_no_other() -> None:
    stage = stage_of(8, mail=2)
    stage.submit(20, queue="mail")
    stage.submit(20)

    stage.settle()

    assert in_hand(stage) == {"mail": 2, "default": 6}


def test_work_for_a_queue_with_room_rings_though_another_one_is_full() -> None:
    stage = stage_of(8, mail=2)
    stage.submit(5, queue="mail")
    stage.settle()
    before = len(stage.store.exchanges)

    stage.submit(1)
    stage.settle()

    assert in_hand(stage) == {"mail": 2, "default": 1}
    assert len(stage.store.exchanges) - before <= 3


def test_a_full_queue_makes_no_exchanges_until_it_has_room() -> None:
    stage = Stage(slots=8, queues=("mail",), queue_limits={"mail": 2})
    stage.submit(5, queue="mail")
    stage.settle()
    before = len(stage.store.exchanges)

    stage.submit(5, queue="mail")
    stage.pass_time(3.0)

    assert len(stage.store.exchanges) == before
    stage.executor.succeed(stage.executor.claims[0])
    stage.settle()
    assert in_hand(stage) == {"mail": 2}


def test_work_for_an_empty_limited_queue_rings() -> None:
    stage = stage_of(8, mail=2)
    stage.submit(3)
    stage.settle()

    stage.submit(1, queue="mail")
    stage.settle()

    assert in_hand(stage) == {"mail": 1, "default": 3}


def test_an_idle_loop_with_limits_sends_nothing_but_heartbeats() -> None:
    stage = stage_of(8, mail=2)
    stage.settle()
    before = len(stage.store.exchanges)

    stage.pass_time(100.0)

    assert 29 <= len(stage.store.exchanges) - before <= 31


def test_what_waits_for_others_of_its_queue_makes_room_for_them() -> None:
    stage = stage_of(4, mail=1)
    parent, child = stage.submit(2, queue="mail")
    stage.settle()
    claim = stage.executor.claim_of(parent)

    stage.executor.parked.add(parent)
    wait = Suspend(invocation_id=parent, epoch=claim.epoch, waits=(child,))
    stage.executor.events.append(WaitWanted(wait))
    stage.settle()
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.settle()

    assert [resumption.invocation_id for resumption in stage.executor.resumptions] == [parent]


def test_what_is_claimed_ahead_counts_as_well() -> None:
    stage = stage_of(1, prefetch=True, mail=2)
    stage.submit(300, queue="mail")
    original = stage.store.exchange

    def slow(request):  # type: ignore[no-untyped-def]
        stage.clock.advance(0.002)
        return original(request)

    stage.store.exchange = slow  # type: ignore[method-assign]
    stage.settle()
    for _ in range(20):
        stage.executor.succeed(stage.executor.claims[0], ran_us=20)
        stage.settle()
        assert in_hand(stage)["mail"] <= 2


def test_turns_are_taken_so_that_a_small_limit_does_not_make_small_batches() -> None:
    limits = QueueLimits(("mail", "default"), {"mail": 2}, {})

    asks = []
    for _ in range(4):
        ask = limits.ask(64)
        asks.append((ask.queues, ask.want, ask.wide))
        limits.answered(ask, ask.want)

    assert asks == [(("mail", "default"), 2, True), (("default",), 64, False)] * 2


def test_a_limit_for_a_queue_that_is_not_named_is_refused() -> None:
    app = Pynenc("memory://", app_id="limits", config_values={"queue_limits": {"mail": 2}})

    with pytest.raises(ConfigurationError, match="has to name all queues"):
        app.runner.start()


@pytest.mark.parametrize("limits", ["mail", "mail:0", "mail:x", "a:b:1", '{"mail": 0}', "[1]"])
def test_limits_that_make_no_sense_are_refused(limits: str) -> None:
    with pytest.raises(ConfigurationError, match="mail:2"):
        Pynenc("memory://", config_values={"queue_limits": limits})


def test_limits_are_read_as_people_write_them() -> None:
    for limits in ("mail:2,slow:1", '{"mail": 2, "slow": 1}', {"mail": 2, "slow": "1"}, ["mail:2", "slow:1"]):
        assert Pynenc("memory://", config_values={"queue_limits": limits}).conf.queue_limits == {"mail": 2, "slow": 1}
