"""`running_concurrency` as published, and how many at once: which runs exclude each other, what becomes of the rest."""

from __future__ import annotations

import pytest

from pynenc import ConcurrencyControlType, Pynenc
from pynenc.errors import InvalidTaskOptionsError, InvocationError
from pynenc.invocation import InvocationStatus
from tests.limits.conftest import Stage, ids

CONTROLLED = InvocationStatus.CONCURRENCY_CONTROLLED
DROPPED = InvocationStatus.CONCURRENCY_CONTROLLED_FINAL


def test_disabled_lets_all_run_at_once(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency=ConcurrencyControlType.DISABLED)
    def work(n: int) -> None: ...

    first, second = work(1), work(1)

    assert stage.begin() == ids(first, second)


def test_task_lets_one_run_whatever_its_arguments(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency=ConcurrencyControlType.TASK, reroute_on_concurrency_control=True)
    def work(n: int) -> None: ...

    first, second = work(1), work(2)

    assert stage.begin() == ids(first)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(second)


def test_arguments_let_one_run_of_equal_calls(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency=ConcurrencyControlType.ARGUMENTS, reroute_on_concurrency_control=True)
    def work(n: int, note: str = "") -> None: ...

    first, other, same = work(1), work(2), work(n=1, note="")

    assert stage.begin() == ids(first, other)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(same)


def test_keys_let_one_run_for_each_key(app: Pynenc, stage: Stage) -> None:
    @app.task(
        running_concurrency=ConcurrencyControlType.KEYS,
        key_arguments=("account",),
        reroute_on_concurrency_control=True,
    )
    def work(account: str, op: str) -> None: ...

    first, same_key, other = work("acme", "a"), work("acme", "b"), work("globex", "a")

    assert stage.begin() == ids(first, other)
    stage.end(first.invocation_id)
    assert stage.begin() == ids(same_key)


def test_runs_of_different_tasks_do_not_exclude_each_other(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task")
    def one() -> None: ...

    @app.task(running_concurrency="task")
    def two() -> None: ...

    first, second = one(), two()

    assert stage.begin() == ids(first, second)


def test_what_is_blocked_is_dropped_unless_it_is_to_be_rerouted(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task")
    def work(n: int) -> None: ...

    first, second = work(1), work(2)
    stage.begin()
    stage.begin()

    assert (first.status, second.status) == (InvocationStatus.RUNNING, DROPPED)
    assert second.status.is_final()


def test_reading_the_result_of_what_was_dropped_raises_an_invocation_error_that_is_a_key_error(
    app: Pynenc, stage: Stage
) -> None:
    @app.task(running_concurrency="task")
    def work(n: int) -> None: ...

    work(1)
    dropped = work(2)
    stage.begin()
    stage.begin()

    with pytest.raises(InvocationError) as caught:
        _ = dropped.result

    assert isinstance(caught.value, KeyError)
    assert caught.value.invocation_id == dropped.invocation_id
    assert dropped.why().endswith(f": slots:{work.task_id} was closed.")


def test_what_waits_is_concurrency_controlled_in_status_and_history(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task", reroute_on_concurrency_control=True)
    def work(n: int) -> None: ...

    first, second = work(1), work(2)
    stage.begin()
    stage.begin()

    assert second.status is CONTROLLED
    assert [entry.status for entry in second.history] == [InvocationStatus.REGISTERED, CONTROLLED]
    assert app.orchestrator.count_invocations(statuses=[CONTROLLED]) == 1
    stage.end(first.invocation_id)
    stage.begin()
    assert second.status is InvocationStatus.RUNNING


def test_a_limit_above_one_lets_so_many_run(app: Pynenc, stage: Stage) -> None:
    @app.task(
        running_concurrency="keys", key_arguments=("account",), running_limit=2, reroute_on_concurrency_control=True
    )
    def work(account: str, n: int) -> None: ...

    calls = [work("acme", n) for n in range(4)]
    other = work("globex", 0)

    assert stage.begin() == ids(*calls[:2], other)
    stage.end(calls[1].invocation_id)
    assert stage.begin() == ids(calls[2])


def test_a_limit_that_counts_nothing_is_refused() -> None:
    app = Pynenc("memory://")

    @app.task(running_limit=3)
    def work() -> None: ...

    with pytest.raises(InvalidTaskOptionsError, match="needs running_concurrency"):
        work()


def test_a_task_that_waits_for_others_gives_its_place_to_the_next(app: Pynenc, stage: Stage) -> None:
    @app.task
    def child() -> None: ...

    @app.task(running_concurrency="task", reroute_on_concurrency_control=True)
    def work() -> int:
        begun.append(1)
        child.options(delay=60)().wait()
        return len(begun)

    begun: list[int] = []
    first, second = work(), work()
    stage.run_all()

    assert len(begun) == 2
    stage.advance(60)
    stage.run_all()
    assert (first.result, second.result) == (2, 2)


def test_a_task_that_holds_while_it_waits_lends_its_place_to_what_it_submitted(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task", hold_while_waiting=True, reroute_on_concurrency_control=True)
    def walk(depth: int) -> int:
        order.append(depth)
        return depth if depth == 0 else walk(depth - 1).result

    order: list[int] = []
    first, second = walk(3), walk(0)
    stage.run_all()

    assert (first.result, second.result) == (0, 0)
    assert order == [3, 2, 1, 0, 0]


def test_one_call_may_have_another_limit(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task", reroute_on_concurrency_control=True)
    def work() -> None: ...

    first, waiting = work(), work()
    free = work.options(running_concurrency="disabled")()

    assert stage.begin() == ids(first, free)
    assert waiting.status is CONTROLLED


def test_parallel_calls_take_turns(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="keys", key_arguments=("account",), reroute_on_concurrency_control=True)
    def work(account: str, n: int) -> int:
        return n

    group = work.parallelize([("a", 1), ("a", 2), ("b", 3)])

    assert len(stage.begin()) == 2
    assert [each.status is CONTROLLED for each in group] == [False, True, False]


@pytest.mark.parametrize("mode", ["running_concurrency", "registration_concurrency"])
def test_keys_without_key_arguments_are_refused(mode: str) -> None:
    app = Pynenc("memory://")

    @app.task(**{mode: "keys"})
    def work(n: int) -> None: ...

    with pytest.raises(InvalidTaskOptionsError, match="needs key_arguments"):
        work(1)


def test_an_unknown_key_argument_is_refused_where_the_task_is_defined() -> None:
    app = Pynenc("memory://")

    with pytest.raises(InvalidTaskOptionsError, match=r"'acount' is no argument of .*; it has account, op; did you"):

        @app.task(running_concurrency="keys", key_arguments=("acount",))
        def work(account: str, op: str) -> None: ...
