"""How much work a runner asks for."""

from __future__ import annotations

import pytest

from pynenc.runners.claimer import Claimer


def claimer(*, slots: int = 2, prefetch: bool = True, ran_us: int | None = None, trip_s: float = 0.002) -> Claimer:
    made = Claimer(slots=slots, prefetch=prefetch, most=256)
    made.exchanged(trip_s)
    if ran_us is not None:
        made.ran(ran_us)
    return made


def test_nothing_is_claimed_ahead_before_a_body_has_run() -> None:
    assert claimer().want(2) == 2


def test_short_bodies_are_claimed_ahead_for_a_round_trip() -> None:
    assert claimer(ran_us=200).ahead() == 30


def test_long_bodies_are_not_claimed_ahead() -> None:
    assert claimer(ran_us=50_000).want(1) == 1


def test_one_long_body_among_short_ones_ends_claiming_ahead() -> None:
    made = claimer(ran_us=50)

    before = made.ahead()
    made.ran(2_000_000)

    assert before > 0
    assert made.ahead() == 0


def test_there_is_a_limit_to_claiming_ahead() -> None:
    assert claimer(slots=64, ran_us=1, trip_s=1.0).want(64) == 256


def test_it_can_be_turned_off() -> None:
    assert claimer(prefetch=False, ran_us=1).want(2) == 2


def test_after_handing_back_nothing_is_claimed_ahead_until_a_body_ends() -> None:
    made = claimer(ran_us=50)

    made.pause_prefetch()
    paused = made.ahead()
    made.ran(50)

    assert paused == 0
    assert made.ahead() > 0


@pytest.mark.parametrize(("spare", "expected"), [(0, 0), (-5, 0), (3, 3)])
def test_it_never_asks_for_less_than_nothing(spare: int, expected: int) -> None:
    assert claimer().want(spare) == expected


def test_it_asks_again_while_it_gets_what_it_asks_for() -> None:
    made = claimer()

    made.answered(asked=2, got=2, registered=True)
    full = made.should_ask(1)
    made.answered(asked=2, got=1, registered=True)

    assert full
    assert not made.should_ask(1)


def test_free_slots_that_nobody_would_ring_for_are_a_reason_to_ask() -> None:
    made = claimer()

    made.answered(asked=0, got=0, registered=False)

    assert made.should_ask(1)
    assert not made.should_ask(0)
