"""`why` of what limits stop: each sentence from a situation that was made for real."""

from __future__ import annotations

from typing import Any

import pytest

from pynenc import Breaker, Limit, Order, Pynenc, Rate
from pynenc.errors import ResultTimeout
from pynenc.invocation import BaseInvocation
from tests.limits.conftest import Stage


def why(invocation: BaseInvocation[..., Any]) -> str:
    """Return the sentence without its subject."""
    said = invocation.why()
    subject = f"{invocation.task.task_id} {invocation.invocation_id} "
    assert said.startswith(subject)
    return said.removeprefix(subject)


def test_a_limit_names_who_is_inside_and_since_when(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    first, second, third = work(), work(), work()
    stage.begin()
    stage.advance(30)

    assert why(second) == (
        f"waits because the limit 'db' (1 at a time) is taken by {work.task_id} {first.invocation_id} since "
        "2026-01-01 00:00:00 UTC (30.0 s); nothing is ahead of it."
    )
    assert why(third).endswith("1 ahead of it in the queue.")


def test_a_limit_names_some_of_many_and_whether_it_was_set_by_hand(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    app.set_limit("db", 5)
    calls = [work() for _ in range(6)]
    stage.begin()

    said = why(calls[5])
    assert "the limit 'db' (5 at a time, set by hand) is taken by" in said
    assert "and 2 more" in said
    assert calls[2].invocation_id in said
    assert calls[3].invocation_id not in said


def test_a_limit_of_zero_says_that_nothing_runs(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    app.set_limit("db", 0)
    call = work()
    stage.begin()

    assert "because the limit 'db' lets nothing run (0 at a time, set by hand);" in why(call)


def test_a_limit_by_key_tells_the_key_apart(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="arguments", reroute_on_concurrency_control=True)
    def work(n: int) -> None: ...

    first, second = work(1), work(1)
    stage.begin()

    said = why(second)
    assert f"because the limit {work.task_id!r} for its key " in said
    assert first.invocation_id in said


def test_a_rate_says_until_when(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit=Rate("2/min", name="stripe"))
    def work() -> None: ...

    work()
    second = work()
    stage.begin()
    stage.advance(10)

    assert why(second) == (
        "waits because the rate 'stripe' (2/min) is used up until 2026-01-01 00:00:30 UTC (in 20.0 s); "
        "nothing is ahead of it."
    )


def test_a_breaker_says_since_when_and_until_when(app: Pynenc, stage: Stage) -> None:
    @app.task(circuit_breaker=Breaker(2, 60, name="stripe"))
    def work() -> None: ...

    calls = [work() for _ in range(4)]
    stage.fail(*stage.begin(2))
    stage.advance(15)
    stage.begin()

    assert why(calls[2]).startswith(
        "waits because the circuit breaker 'stripe' is open since 2026-01-01 00:00:00 UTC, after 2 failures in a row "
        "until 2026-01-01 00:01:00 UTC (in 45.0 s);"
    )
    stage.advance(45)
    (trial,) = stage.begin()
    assert f"{work.task_id} {trial} since 2026-01-01 00:01:00 UTC (0.0 s) tries whether all is well again;" in why(
        calls[3]
    )


def test_an_order_names_what_comes_before(app: Pynenc, stage: Stage) -> None:
    @app.task(ordering_key=Order("customers", by="customer"))
    def work(customer: str) -> None: ...

    first, second = work("a"), work("a")
    stage.begin()
    stage.retry(first.invocation_id, delay_s=60)
    stage.begin()

    said = why(second)
    assert "waits because before it in the order 'customers' for its key " in said
    assert f"comes {work.task_id} {first.invocation_id} since" in said


def test_several_limits_are_all_named(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1), rate_limit="1/min")
    def work() -> None: ...

    work()
    second = work()
    stage.begin()
    stage.begin()

    said = why(second)
    assert said.startswith(f"waits because the rate {work.task_id!r} (1/min) is used up until")
    assert ", and the limit 'db' (1 at a time) is taken by" in said


def test_what_will_be_dropped_is_told_so(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task")
    def work() -> None: ...

    work()
    stage.begin()
    second = work()

    assert "; it is dropped if a runner gets to it before that changes;" in why(second)


def test_one_that_could_go_on_says_what_it_waits_for(app: Pynenc, stage: Stage) -> None:
    @app.task
    def child() -> None: ...

    @app.task(running_concurrency="task", reroute_on_concurrency_control=True)
    def work() -> None:
        child.options(delay=10)().wait()

    first, second = work(), work()
    stage.run_all()
    app.set_limit(work, 0)
    stage.advance(10)
    stage.run_all()

    for each in (first, second):
        assert "has what it waited for and goes on as soon as it can: the limit" in why(each)


def test_a_paused_queue_comes_first(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    work()
    second = work()
    stage.begin()
    app.pause()

    assert "is not run because queue 'default' is paused by" in why(second)


@pytest.mark.parametrize("queue", ["default"])
def test_queues_count_what_is_blocked(app: Pynenc, stage: Stage, queue: str) -> None:
    from pynenc.cli.queues import queue_rows

    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    for _ in range(3):
        work()
    stage.begin()

    (row,) = queue_rows(app)
    assert (row["queue"], row["ready"], row["blocked"], row["running"]) == (queue, 0, 2, 1)
    assert row["oldest_ready_s"] is None


def test_a_holder_that_waits_for_a_stranger_behind_its_limit_is_shown_and_ended_by_its_wait_timeout(
    app: Pynenc, stage: Stage
) -> None:
    strangers: list[Any] = []

    @app.task(limits=Limit("db", 1))
    def load() -> None: ...

    @app.task(limits=Limit("db", 1, hold_while_waiting=True), wait_timeout=30)
    def export() -> None:
        strangers[0].get()

    holder = export()
    strangers.append(load())
    stage.run_all()
    both = why(strangers[0]), why(holder)
    stage.advance(31)
    stage.run_all()

    assert f"the limit 'db' (1 at a time) is taken by {export.task_id} {holder.invocation_id}" in both[0]
    assert f"is waiting for {load.task_id} {strangers[0].invocation_id} (concurrency_controlled)" in both[1]
    with pytest.raises(ResultTimeout, match="longer than its wait_timeout of 30 s"):
        holder.get(timeout=30)
    assert strangers[0].status.value == "success"
