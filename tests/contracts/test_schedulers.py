"""The same workload under each scheduler begins in the same order on every store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pynenc.model.records import Retry
from pynenc.ports.backend import Backend
from pynenc.scheduling import (
    DeadlineScheduler,
    DependencyScheduler,
    FifoScheduler,
    LifoScheduler,
    PriorityScheduler,
    Rank,
    RankContext,
    Scheduler,
    ShortestScheduler,
)
from pynenc.scheduling.naming import scheduler_of
from pynenc.scheduling.ranks import checked_rank
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import SECOND_US, Perform, Store, submission

# Submitted at once or one after the other: name, seconds since the one before, what the scheduler is told.
WORKLOAD: list[tuple[str, float, dict[str, Any]]] = [
    ("report", 0, {"priority": -10, "run_time_us": 60 * SECOND_US}),
    ("mail", 1, {"run_time_us": SECOND_US}),
    ("urgent", 1, {"priority": 10, "deadline_s": 60, "run_time_us": 10 * SECOND_US}),
    ("resize", 0, {"priority": 0.5, "deadline_s": 30, "run_time_us": 2 * SECOND_US}),
    ("sync", 600, {"priority": 9, "deadline_s": 5, "run_time_us": 2 * SECOND_US}),
    ("mail again", 1, {"run_time_us": SECOND_US}),
]


class Reversed(Scheduler):
    """One of a user's own: by the length of the name of the task."""

    name = "by length"

    def rank(self, context: RankContext) -> Rank:
        return Rank(0, len(context.task_id))


ORDERS: list[tuple[Scheduler, list[str]]] = [
    (FifoScheduler(), ["report", "mail", "urgent", "resize", "sync", "mail again"]),
    (FifoScheduler(by_clock=True), ["report", "mail", "urgent", "resize", "sync", "mail again"]),
    (LifoScheduler(), ["mail again", "sync", "resize", "urgent", "mail", "report"]),
    (PriorityScheduler(), ["urgent", "sync", "resize", "mail", "mail again", "report"]),
    (PriorityScheduler(ageing=timedelta(minutes=1)), ["urgent", "resize", "mail", "sync", "report", "mail again"]),
    (DeadlineScheduler(), ["resize", "urgent", "sync", "report", "mail", "mail again"]),
    (
        DeadlineScheduler(otherwise=timedelta(seconds=1)),
        ["report", "mail", "resize", "urgent", "mail again", "sync"],
    ),
    (ShortestScheduler(), ["mail", "resize", "urgent", "report", "mail again", "sync"]),
    (ShortestScheduler(patience=0.001), ["report", "mail", "resize", "urgent", "sync", "mail again"]),
    (ShortestScheduler(patience=100_000), ["mail", "mail again", "resize", "sync", "urgent", "report"]),
    (Reversed(), ["mail", "sync", "report", "urgent", "resize", "mail again"]),
]


@pytest.fixture
def store(backend: Backend, perform: Perform, clock: FakeClock) -> Store:
    return Store(backend, perform, clock)


def place(store: Store, scheduler: Scheduler, name: str, *, queue: str = "default", **told: Any) -> Any:
    """Submit one call as a scheduler has it."""
    deadline_s = told.pop("deadline_s", None)
    now_us = store.clock()
    context = RankContext(
        task_id=name,
        queue=queue,
        now_us=now_us,
        deadline_us=None if deadline_s is None else now_us + deadline_s * SECOND_US,
        **{key: value for key, value in told.items() if key != "after"},
    )
    rank = checked_rank(scheduler, context)
    return store.submit(task_id=name, queue=queue, band=rank.band, key=rank.key, after=told.get("after", ()))


def begun(store: Store) -> list[str]:
    """Claim everything, one after the other; return the names of the tasks."""
    runner, names = store.runner(), []
    while claims := store.claim(runner):
        names.append(claims[0].task_id)
    return names


@pytest.mark.parametrize(("scheduler", "expected"), ORDERS, ids=[f"{n}-{s.name}" for n, (s, _) in enumerate(ORDERS)])
def test_the_workload_begins_in_this_order(store: Store, scheduler: Scheduler, expected: list[str]) -> None:
    for name, pause_s, told in WORKLOAD:
        store.clock.advance(pause_s)
        place(store, scheduler, name, **told)

    assert begun(store) == expected


@pytest.mark.parametrize(
    "scheduler",
    [scheduler for scheduler, _ in ORDERS if not isinstance(scheduler, Reversed)] + [DependencyScheduler()],
    ids=lambda scheduler: scheduler.name,
)
def test_what_a_run_submits_begins_before_what_is_as_important(store: Store, scheduler: Scheduler) -> None:
    runner = store.runner()
    place(store, scheduler, "parent")
    parent = store.claim_one(runner)
    if not isinstance(scheduler, LifoScheduler):
        place(store, scheduler, "other root")
    place(store, scheduler, "child", parent_rank=parent.rank)
    if isinstance(scheduler, DeadlineScheduler):
        place(store, scheduler, "late root", deadline_s=1_000_000)

    assert store.claim_one(runner).task_id == "child"


def test_a_child_may_keep_its_own_priority(store: Store) -> None:
    scheduler = PriorityScheduler(inherit=False)
    place(store, scheduler, "parent", priority=50)
    parent = store.claim_one(store.runner())
    place(store, scheduler, "background", priority=-50, parent_rank=parent.rank)
    place(store, scheduler, "root")

    assert begun(store) == ["root", "background"]


def test_what_was_begun_is_finished_before_new_work_under_the_dependency_scheduler(store: Store) -> None:
    runner, scheduler = store.runner(), DependencyScheduler()
    firsts = [place(store, scheduler, f"load {number}") for number in range(3)]
    for number, first in enumerate(firsts):
        place(store, scheduler, f"save {number}", follows=True, after=(first,))

    names = []
    while claims := store.claim(runner):
        names.append(claims[0].task_id)
        store.succeed(claims[0])

    assert names == ["load 0", "save 0", "load 1", "save 1", "load 2", "save 2"]


def test_queues_of_several_schedulers_take_turns_by_age(store: Store) -> None:
    scheduler = scheduler_of({"mail": "ageing", "*": "fifo"})
    for number in range(2):
        place(store, scheduler, f"plain {number}")
        store.clock.advance(1)
        place(store, scheduler, f"mail {number}", queue="mail")
        store.clock.advance(1)

    assert begun(store) == ["plain 0", "mail 0", "plain 1", "mail 1"]


def test_a_retry_keeps_its_place(store: Store) -> None:
    runner, scheduler = store.runner(), PriorityScheduler()
    place(store, scheduler, "first", priority=1)
    claim = store.claim_one(runner)
    place(store, scheduler, "second", priority=0)
    store.settle(runner, Retry(invocation_id=claim.invocation_id, epoch=claim.epoch, error=b""))

    assert begun(store) == ["first", "second"]


def test_equal_ranks_begin_in_the_order_of_their_ids(store: Store) -> None:
    items = [submission(band=100, key=7, task_id=str(number)) for number in range(5)]
    store.submit_items(*reversed(items))

    assert begun(store) == [str(number) for number in range(5)]
