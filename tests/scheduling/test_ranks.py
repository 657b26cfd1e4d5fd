"""What schedulers compute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc.errors import ConfigurationError
from pynenc.model.ranks import BAND_UNIT
from pynenc.scheduling import (
    NEWEST_FIRST,
    DeadlineScheduler,
    PriorityScheduler,
    Rank,
    RankContext,
    Scheduler,
    ShortestScheduler,
    before_parent,
    instant_key,
)
from pynenc.scheduling.naming import SHIPPED, FunctionScheduler, scheduler_of
from pynenc.scheduling.ranks import LARGEST_KEY, checked_rank

NOW_US = 1_790_000_000_000_000
priorities = st.floats(-100, 100)
moments = st.integers(NOW_US, NOW_US + 10**15)


def context(**told: Any) -> RankContext:
    return RankContext(**{"task_id": "m.f", "queue": "default", "now_us": NOW_US, **told})


def number(rank: Rank) -> int:
    assert rank.key is not None
    return rank.band * BAND_UNIT + rank.key


@given(priorities, priorities, moments, moments)
def test_a_higher_priority_always_ranks_first_without_ageing(high: float, low: float, late: int, early: int) -> None:
    scheduler = PriorityScheduler()
    one = checked_rank(scheduler, context(priority=high, now_us=late))
    other = checked_rank(scheduler, context(priority=low, now_us=early))

    if high - low >= 1 / 8:
        assert number(one) < number(other)


@given(priorities, st.integers(0, 10**9))
def test_equal_priorities_rank_by_age(priority: float, later_ms: int) -> None:
    scheduler = PriorityScheduler()
    one = checked_rank(scheduler, context(priority=priority))
    other = checked_rank(scheduler, context(priority=priority, now_us=NOW_US + later_ms * 1_000))

    assert number(one) <= number(other)
    assert later_ms == 0 or number(one) < number(other)


@given(priorities, priorities)
def test_a_point_of_priority_is_worth_its_wait(one: float, other: float) -> None:
    scheduler = PriorityScheduler(ageing=timedelta(seconds=10))
    first, second = (number(checked_rank(scheduler, context(priority=each))) for each in (one, other))

    assert second - first == pytest.approx((one - other) * 10_000, abs=1)


@pytest.mark.parametrize("name", SHIPPED)
@given(
    st.builds(
        RankContext,
        task_id=st.just("m.f"),
        queue=st.just("q"),
        now_us=st.integers(0, 2**62),
        priority=priorities,
        deadline_us=st.none() | st.integers(-(2**62), 2**62),
        run_time_us=st.none() | st.integers(0, 2**50),
        follows=st.booleans(),
        parent_rank=st.none() | st.integers(0, 256 * BAND_UNIT - 1),
    )
)
def test_every_scheduler_gives_ranks_that_stores_take(name: str, given_context: RankContext) -> None:
    scheduler = scheduler_of(name)

    rank = checked_rank(scheduler, given_context)

    if given_context.parent_rank:
        below = rank.band * BAND_UNIT + (rank.key if rank.key is not None and rank.key >= 0 else 0)
        assert below < given_context.parent_rank or rank.band == 0


def test_a_child_ranks_just_before_its_parent_unless_it_ranks_before_anyway() -> None:
    parent = 100 * BAND_UNIT + 50

    assert before_parent(Rank(100, None), context(parent_rank=parent)) == Rank(100, 49)
    assert before_parent(Rank(100, NEWEST_FIRST), context(parent_rank=parent)) == Rank(100, 49)
    assert before_parent(Rank(100, 60), context(parent_rank=parent)) == Rank(100, 49)
    assert before_parent(Rank(100, 40), context(parent_rank=parent)) == Rank(100, 40)
    assert before_parent(Rank(101, 0), context(parent_rank=parent)) == Rank(100, 49)
    assert before_parent(Rank(99, None), context(parent_rank=parent)) == Rank(99, None)
    assert before_parent(Rank(99, None), context()) == Rank(99, None)


def test_instants_become_keys_in_their_order_and_within_bounds() -> None:
    assert instant_key(NOW_US) < instant_key(NOW_US + 1_000)
    assert (instant_key(0), instant_key(2**62)) == (0, LARGEST_KEY)


@pytest.mark.parametrize(
    "returned",
    [
        None,
        5,
        (1, 2),
        Rank(256, 0),
        Rank(-1, 0),
        Rank(1, -2),
        Rank(1, 2**44),
        Rank(1, 1.5),  # type: ignore[arg-type]
        Rank(True, 0),
        Rank("1", 0),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_rank_is_refused_with_the_scheduler_and_the_task(returned: Any) -> None:
    class Mine(Scheduler):
        name = "mine"

        def rank(self, context: RankContext) -> Rank:
            answer: Rank = returned
            return answer

    with pytest.raises(ConfigurationError) as caught:
        checked_rank(Mine(), context())

    assert [part for part in ("'mine'", "m.f", repr(returned), "0 to 255") if part not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: PriorityScheduler(ageing=timedelta(0)), "ageing"),
        (lambda: DeadlineScheduler(otherwise=timedelta(seconds=-1)), "otherwise"),
        (lambda: ShortestScheduler(patience=0), "patience"),
        (lambda: ShortestScheduler(patience=float("nan")), "patience"),
        (lambda: scheduler_of("fancy"), "'fancy'"),
        (lambda: scheduler_of("no.such:Thing"), "no.such:Thing"),
        (lambda: scheduler_of("pynenc.scheduling:Missing"), "Missing"),
        (lambda: scheduler_of(3), "3"),  # type: ignore[arg-type]
        (lambda: scheduler_of(int), "int"),  # type: ignore[arg-type]
        (lambda: scheduler_of(FunctionScheduler), "FunctionScheduler"),
        (lambda: scheduler_of({"mail": "fancy"}), "'fancy'"),
    ],
)
def test_what_is_no_scheduler_is_refused_by_name(make: Any, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()

    assert named in str(caught.value)


def by_name(context: RankContext) -> Rank:
    return Rank(1, len(context.task_id))


@pytest.mark.parametrize(
    "choice",
    [by_name, FunctionScheduler(by_name), f"{__name__}:by_name", {"default": by_name}, {"*": f"{__name__}:by_name"}],
)
def test_a_scheduler_of_ones_own_is_a_function_or_a_class_by_itself_or_by_name(choice: Any) -> None:
    assert scheduler_of(choice).rank(context()) == Rank(1, 3)


def test_a_queue_without_a_scheduler_of_its_own_has_that_of_all_others() -> None:
    scheduler = scheduler_of({"mail": "priority"})

    assert scheduler.rank(context(queue="mail", priority=100)).band == 28
    assert scheduler.rank(context(queue="other", priority=100)).band == 128
