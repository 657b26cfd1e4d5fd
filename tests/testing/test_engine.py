"""What users test their tasks with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pynenc import Limit, Pynenc, current_invocation
from pynenc.errors import ResultTimeout
from pynenc.invocation import BaseInvocation
from pynenc.testing.engine import Engine


def test_nothing_runs_before_it_is_told_to(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    ran: list[int] = []

    @pynenc_app.task
    def work() -> None:
        ran.append(1)

    work()
    assert ran == []
    pynenc_engine.run_all()

    assert ran == [1]


def test_days_pass_in_no_time(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task(
        delay=30 * 86_400,
        max_retries=5,
        retry_delay=86_400,
        retry_max_delay=10 * 86_400,
        retry_for=(OSError,),
    )
    def monthly() -> int:
        if current_invocation().num_retries < 4:
            raise OSError
        return current_invocation().num_retries

    begin = pynenc_engine.clock()
    invocation = monthly()
    pynenc_engine.run_all(skip_time=True)

    assert invocation.result == 4
    assert pynenc_engine.clock() - begin >= 30 * 86_400 * 1_000_000


def test_asking_for_a_result_runs_what_can_run_and_says_what_cannot(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task
    def add(x: int, y: int) -> int:
        return x + y

    assert add(1, 2).result == 3
    with pytest.raises(ResultTimeout, match="does not run before"):
        _ = add.options(delay=60)(1, 2).result


def test_enqueued_calls_are_found_by_their_arguments(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task
    def mail(to: str, subject: str = "hello") -> None: ...

    mail("a@example.org")
    mail("b@example.org", subject="bye")

    assert pynenc_engine.assert_enqueued(mail, to="b@example.org").arguments.kwargs["subject"] == "bye"
    pynenc_engine.assert_enqueued(mail, times=2)
    pynenc_engine.assert_enqueued(mail, subject="hello", times=1)
    pynenc_engine.assert_not_enqueued(mail, to="c@example.org")
    with pytest.raises(AssertionError, match=r"(?s)c@example\.org.*b@example\.org"):
        pynenc_engine.assert_enqueued(mail, to="c@example.org")


def test_a_crash_loses_nothing(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    runs: list[str] = []

    @pynenc_app.task(delay=60)
    def child() -> int:
        runs.append("child")
        return 1

    @pynenc_app.task
    def parent() -> int:
        runs.append("parent")
        return child().result + 1

    invocation = parent()
    pynenc_engine.run_all()
    pynenc_engine.crash()
    pynenc_engine.run_all(skip_time=True)

    assert invocation.result == 2
    assert runs == ["parent", "parent", "child"]


def test_a_graph_survives_a_kill_at_every_step(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task
    def leaf(x: int) -> int:
        return x

    @pynenc_app.task(max_retries=1, retry_for=(ValueError,))
    def flaky(x: int) -> int:
        if current_invocation().num_retries == 0:
            raise ValueError
        return x

    @pynenc_app.task
    def root() -> int:
        return sum(leaf.map(range(3)).results) + flaky(10).result

    report = pynenc_engine.crash_at_every_boundary(root)

    assert report.steps > 10
    assert report.outcome == [f"{root.task_id} SUCCESS: 13"]


def test_a_graph_that_counts_on_running_once_is_caught(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    counter: list[int] = []

    @pynenc_app.task
    def leaf() -> int:
        return 1

    @pynenc_app.task
    def root() -> int:
        counter.append(1)
        _ = leaf().result
        return len(counter)

    def scenario() -> BaseInvocation[[], int]:
        counter.clear()
        return root()

    with pytest.raises(AssertionError, match="killed after step"):
        pynenc_engine.crash_at_every_boundary(scenario)


def test_asynchronous_tasks_wait_for_each_other(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task
    async def leaf(x: int) -> int:
        return x

    @pynenc_app.task
    async def root() -> int:
        return await (await leaf.acall(1)) + await (await leaf.acall(2))

    assert root().result == 3


def test_an_app_of_ones_own_gets_its_store_back(pynenc_attach: Callable[[Pynenc], Engine]) -> None:
    app = Pynenc("memory://", app_id="mine")

    engine = pynenc_attach(app)

    assert app.backend is not None
    engine.close()
    assert app._backend is None


def test_limits_hold_and_rates_follow_the_clock(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    begun: list[int] = []

    @pynenc_app.task(rate_limit="1/min")
    def slow(n: int) -> None:
        begun.append(n)

    for n in range(3):
        slow(n)
    pynenc_engine.run_all()
    assert begun == [0]
    pynenc_engine.advance(60)
    assert begun == [0, 1]
    pynenc_engine.run_all(skip_time=True)

    assert begun == [0, 1, 2]


def test_a_place_is_free_again_after_a_crash(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task
    def child() -> None: ...

    @pynenc_app.task(limits=Limit("one", 1, hold_while_waiting=True))
    def work(delay: int) -> None:
        if delay:
            child.options(delay=delay)().wait()

    first, second = work(60), work(0)
    pynenc_engine.run_all()
    assert not second.status.is_final()
    pynenc_engine.crash()
    pynenc_engine.run_all(skip_time=True)

    assert first.result is second.result is None


def test_a_scenario_with_limits_survives_a_crash_at_every_boundary(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    @pynenc_app.task(limits=Limit("one", 1), ordering_key="name", max_retries=1, retry_for=(OSError,), retry_delay=1)
    def work(name: str, n: int) -> int:
        if n == 1 and current_invocation().num_retries == 0:
            raise OSError
        return n

    report = pynenc_engine.crash_at_every_boundary(lambda: [work("a", n) for n in range(3)])

    assert report.steps > 0
    assert [each.rpartition(": ")[2] for each in report.outcome] == ["0", "1", "2"]
