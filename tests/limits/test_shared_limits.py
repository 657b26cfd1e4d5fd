"""Limits by name, rates, breakers and orders: what several tasks share, for each key or over all."""

from __future__ import annotations

from typing import Any

import pytest

from pynenc import Breaker, Limit, Order, Pynenc, Rate
from pynenc.errors import InvalidTaskOptionsError, SerializationError
from pynenc.invocation import InvocationStatus
from tests.limits.conftest import Stage, ids

CONTROLLED = InvocationStatus.CONCURRENCY_CONTROLLED
DROPPED = InvocationStatus.CONCURRENCY_CONTROLLED_FINAL


# --- so many at once ---


def test_tasks_that_name_a_limit_share_it(app: Pynenc, stage: Stage) -> None:
    db = Limit("db", 2)

    @app.task(limits=db)
    def read() -> None: ...

    @app.task(limits=[db])
    def write() -> None: ...

    @app.task
    def free() -> None: ...

    calls = [read(), write(), read(), write()]
    unlimited = free()

    assert stage.begin() == ids(*calls[:2], unlimited)
    assert [each.status for each in calls[2:]] == [CONTROLLED, CONTROLLED]
    stage.end(calls[0].invocation_id)
    assert stage.begin() == ids(calls[2])


def test_a_limit_by_an_argument_is_shared_for_each_of_its_values(app: Pynenc, stage: Stage) -> None:
    per_tenant = Limit("tenant", 1, by="tenant")

    @app.task(limits=per_tenant)
    def load(tenant: str) -> None: ...

    @app.task(limits=Limit("tenant", 1, by="owner"))
    def export(path: str, owner: str) -> None: ...

    first, second, other = load("acme"), export("/x", owner="acme"), export("/x", "globex")

    assert stage.begin() == ids(first, other)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(second)


def test_a_limit_by_a_function_goes_by_what_it_returns(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("host", 1, by=lambda url: url.split("/")[2]))
    def fetch(url: str) -> None: ...

    first, same, other = fetch("http://a/1"), fetch("http://a/2"), fetch("http://b/1")

    assert stage.begin() == ids(first, other)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(same)


def test_what_a_dropping_limit_stops_ends(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1, drop=True))
    def work() -> None: ...

    first, second = work(), work()

    assert stage.begin() == ids(first)
    assert second.status is DROPPED


def test_all_limits_of_a_call_have_to_let_it_pass(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=[Limit("a", 1), Limit("b", 2)])
    def both() -> None: ...

    @app.task(limits=Limit("b", 2))
    def one() -> None: ...

    first, second, third, fourth = both(), both(), one(), one()

    assert stage.begin() == ids(first, third)
    stage.end(third.invocation_id)
    assert stage.begin() == ids(fourth)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(second)


def test_one_call_may_have_none(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    first, _ = work(), work()
    free = work.options(limits=None)()

    assert stage.begin() == ids(first, free)


# --- so often ---


def test_a_rate_spaces_starts_evenly(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit="100/min")
    def work() -> None: ...

    calls = [work() for _ in range(3)]

    assert stage.begin() == ids(calls[0])
    stage.advance(0.5)
    assert stage.begin() == []
    stage.advance(0.1)
    assert stage.begin() == ids(calls[1])
    stage.advance(0.6)
    assert stage.begin() == ids(calls[2])


def test_a_burst_may_start_at_once_after_a_pause(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit="10/s burst 3")
    def work() -> None: ...

    calls = [work() for _ in range(5)]

    assert stage.begin() == ids(*calls[:3])
    stage.advance(0.1)
    assert stage.begin() == ids(calls[3])


def test_a_rate_is_kept_for_each_key(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit=Rate("1/s", by="account"))
    def work(account: str) -> None: ...

    first, second, other = work("acme"), work("acme"), work("globex")

    assert stage.begin() == ids(first, other)
    stage.advance(1)
    assert stage.begin() == ids(second)


def test_tasks_that_name_a_rate_share_it(app: Pynenc, stage: Stage) -> None:
    stripe = Rate("1/s", name="stripe")

    @app.task(rate_limit=stripe)
    def charge() -> None: ...

    @app.task(rate_limit=stripe)
    def refund() -> None: ...

    first, second = charge(), refund()

    assert stage.begin() == ids(first)
    stage.advance(1)
    assert stage.begin() == ids(second)


def test_several_rates_all_hold(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit=["10/s", "2/min burst 2"])
    def work() -> None: ...

    begun = []
    _ = [work() for _ in range(5)]
    for _ in range(20):
        begun += stage.begin()
        stage.advance(0.1)

    assert len(begun) == 2


def test_what_a_dropping_rate_stops_ends(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit=Rate("1/s", drop=True))
    def work() -> None: ...

    first, second = work(), work()

    assert stage.begin() == ids(first)
    assert second.status is DROPPED


# --- failures ---


def test_failures_in_a_row_open_a_breaker_until_a_run_succeeds_after_its_time(app: Pynenc, stage: Stage) -> None:
    @app.task(circuit_breaker=Breaker(2, "30s"))
    def work() -> None: ...

    calls = [work() for _ in range(5)]
    stage.fail(*stage.begin(2))

    assert stage.begin() == []
    assert calls[2].status is CONTROLLED
    stage.advance(30)
    (trial,) = stage.begin()
    assert stage.begin() == []
    stage.end(trial)
    assert stage.begin() == ids(*calls[3:])


def test_tasks_that_name_a_breaker_share_it(app: Pynenc, stage: Stage) -> None:
    stripe = Breaker(1, 30, name="stripe")

    @app.task(circuit_breaker=stripe)
    def charge() -> None: ...

    @app.task(circuit_breaker=stripe)
    def refund() -> None: ...

    first = charge()
    stage.begin()
    second = refund()
    stage.fail(first.invocation_id)

    assert stage.begin() == []
    stage.advance(30)
    assert stage.begin() == ids(second)


# --- order ---


def test_calls_of_an_ordering_key_run_one_by_one_through_their_retries(app: Pynenc, stage: Stage) -> None:
    @app.task(ordering_key="customer")
    def update(customer: str, n: int) -> None: ...

    first, second, other = update("a", 1), update("a", 2), update("b", 1)

    assert stage.begin() == ids(first, other)
    stage.retry(first.invocation_id, delay_s=60)
    assert stage.begin() == []
    stage.advance(60)
    assert stage.begin() == ids(first)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(second)


def test_tasks_that_name_an_order_follow_it_together(app: Pynenc, stage: Stage) -> None:
    @app.task(ordering_key=Order("customers", by="customer"))
    def create(customer: str) -> None: ...

    @app.task(ordering_key=Order("customers", by="who"))
    def delete(who: str) -> None: ...

    first, second, third = create("a"), delete("a"), create("a")

    for each in (first, second, third):
        assert stage.begin() == ids(each)
        stage.end(each.invocation_id)


def test_the_next_of_an_order_waits_while_one_waits_for_others(app: Pynenc, stage: Stage) -> None:
    @app.task(delay=60)
    def child() -> None: ...

    @app.task(ordering_key=Order("all", by=()))
    def work(n: int) -> None:
        order.append(n)
        child().wait()
        order.append(-n)

    order: list[int] = []
    work(1), work(2)
    stage.run_all()
    assert order == [1]
    stage.advance(60)
    stage.run_all()
    stage.advance(60)
    stage.run_all()

    assert order == [1, -1, 2, -2]


# --- what is refused ---


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Limit("db", 0), "at_once=0 is not a whole number of at least 1"),
        (lambda: Limit("db", True), "at_once=True"),
        (lambda: Limit("", 1), "the name ''"),
        (lambda: Limit("a#b", 1), "the name 'a#b'"),
        (lambda: Limit("db", 1, by=3), "by=3 is not the name of an argument"),  # type: ignore[arg-type]
        (lambda: Rate("fast"), "10/s, 100/min, 1000/h"),
        (lambda: Rate("10/s", burst=0), "burst=0"),
        (lambda: Breaker(0, 30), "failures=0"),
        (lambda: Order("", by="x"), "the name ''"),
    ],
)
def test_a_limit_with_impossible_numbers_is_refused_where_it_is_made(make: Any, says: str) -> None:
    with pytest.raises(InvalidTaskOptionsError) as caught:
        make()

    assert says in str(caught.value)


def test_two_limits_of_one_name_are_refused() -> None:
    app = Pynenc("memory://")

    with pytest.raises(InvalidTaskOptionsError, match="slots:db"):

        @app.task(limits=[Limit("db", 1), Limit("db", 2)])
        def work() -> None: ...


def test_more_limits_than_a_call_can_carry_are_refused() -> None:
    app = Pynenc("memory://")

    with pytest.raises(InvalidTaskOptionsError, match="9 limits stand before one call; there may be 8"):

        @app.task(limits=[Limit(f"l{n}", 1) for n in range(9)])
        def work() -> None: ...


def test_what_cannot_be_part_of_a_key_is_refused_at_the_call(app: Pynenc) -> None:
    @app.task(limits=Limit("x", 1, by=lambda n: (n, object())))
    def work(n: int) -> None: ...

    with pytest.raises(SerializationError, match="cannot be part of a key"):
        work(1)
