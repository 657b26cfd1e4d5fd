"""`registration_concurrency` as published, and its refinements: which calls are one and the same, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pynenc import ConcurrencyControlType, Pynenc
from pynenc.call import Arguments
from pynenc.errors import InvalidTaskOptionsError, InvocationConcurrencyWithDifferentArgumentsError, TaskRoutingError
from pynenc.invocation import BaseInvocation, DistributedInvocation, InvocationStatus, ReusedInvocation
from tests.limits.conftest import Stage, ids

ByKey = {"registration_concurrency": ConcurrencyControlType.KEYS, "key_arguments": ("key",)}


def is_new(invocation: BaseInvocation[..., Any]) -> bool:
    return not isinstance(invocation, ReusedInvocation)


def test_disabled_makes_each_call_an_invocation(app: Pynenc) -> None:
    @app.task(registration_concurrency=ConcurrencyControlType.DISABLED)
    def work(n: int) -> None: ...

    assert work(1).invocation_id != work(1).invocation_id


def test_task_reuses_what_is_registered_whatever_the_arguments(app: Pynenc) -> None:
    @app.task(registration_concurrency=ConcurrencyControlType.TASK)
    def work(n: int) -> None: ...

    first, second = work(1), work(2)

    assert is_new(first)
    assert isinstance(second, ReusedInvocation)
    assert first.invocation_id == second.invocation_id
    assert second.arguments == first.arguments


def test_arguments_reuse_what_is_registered_with_equal_ones(app: Pynenc) -> None:
    @app.task(registration_concurrency=ConcurrencyControlType.ARGUMENTS)
    def work(a: str, b: str = "b") -> None: ...

    first, other, same = work("a"), work("c"), work(a="a", b="b")

    assert first.invocation_id == same.invocation_id
    assert first.invocation_id != other.invocation_id


def test_keys_reuse_what_is_registered_with_equal_ones(app: Pynenc) -> None:
    @app.task(**ByKey)
    def work(key: str, arg: str) -> None: ...

    first, other, same = work("k0", "a"), work("k1", "a"), work("k0", "b")

    assert first.invocation_id == same.invocation_id
    assert first.invocation_id != other.invocation_id


def test_a_reused_invocation_keeps_the_arguments_that_were_ignored(app: Pynenc) -> None:
    @app.task(**ByKey)
    def work(key: str, arg: str) -> None: ...

    first, different, same = work("k", "a"), work("k", "b"), work("k", "a")

    assert isinstance(different, ReusedInvocation)
    assert isinstance(different.diff_arg, Arguments)
    assert different.diff_arg.kwargs == {"key": "k", "arg": "b"}
    assert different.arguments == first.arguments
    assert isinstance(same, ReusedInvocation)
    assert same.diff_arg is None


@pytest.mark.parametrize("mode", [ConcurrencyControlType.TASK, ConcurrencyControlType.KEYS])
def test_other_arguments_raise_where_they_shall(app: Pynenc, mode: ConcurrencyControlType) -> None:
    @app.task(registration_concurrency=mode, key_arguments=("key",), on_diff_non_key_args_raise=True)
    def work(key: str, arg: str) -> None: ...

    first = work("k", "a")
    with pytest.raises(InvocationConcurrencyWithDifferentArgumentsError) as caught:
        work("k", "b")

    assert isinstance(caught.value, TaskRoutingError)
    assert caught.value.task_id == work.task_id
    assert caught.value.existing_invocation_id == first.invocation_id
    assert caught.value.diff == "arg: 'a' -> 'b'"
    assert "arg: 'a' -> 'b'" in str(caught.value)
    assert work("k", "a").invocation_id == first.invocation_id


def test_a_call_is_registered_only_until_it_is_claimed(app: Pynenc, stage: Stage) -> None:
    @app.task(registration_concurrency="task")
    def work() -> None: ...

    first = work()
    stage.begin()

    assert is_new(work())
    assert first.status is InvocationStatus.RUNNING


def test_parallel_calls_collapse_as_single_ones_do(app: Pynenc) -> None:
    @app.task(registration_concurrency="keys", key_arguments=("key",))
    def work(key: str, n: int) -> None: ...

    group = work.parallelize([("a", 1), ("a", 2), ("b", 3)])

    assert [is_new(each) for each in group] == [True, False, True]
    assert len(group.invocation_map) == 2


@pytest.mark.parametrize("big", [False, True])
def test_what_many_calls_share_counts_as_if_it_was_passed_by_each(app: Pynenc, big: bool) -> None:
    @app.task(registration_concurrency="arguments")
    def work(n: int, text: str) -> None: ...

    text = "x" * (2_000_000 if big else 2)
    shared = work.parallelize([(1,), (2,), (1,)], common_args={"text": text})
    passed = work(1, text)

    assert [is_new(each) for each in shared] == [True, True, False]
    assert passed.invocation_id == shared.invocations[0].invocation_id


def test_reading_the_result_of_a_reused_invocation_is_reading_that_of_the_existing_one(
    app: Pynenc, stage: Stage
) -> None:
    @app.task(registration_concurrency="task")
    def work(n: int) -> int:
        return n

    first, second = work(1), work(2)
    stage.run_all()

    assert (first.result, second.result) == (1, 1)


# --- for how long ---


def test_unique_until_it_has_finished(app: Pynenc, stage: Stage) -> None:
    @app.task(registration_concurrency="task", unique_until="finished")
    def work() -> None: ...

    first = work()
    (claimed,) = stage.begin()
    while_it_runs = work()
    stage.end(claimed)

    assert while_it_runs.invocation_id == first.invocation_id
    assert is_new(work())


def test_unique_for_a_while_whatever_becomes_of_the_first(app: Pynenc, stage: Stage) -> None:
    @app.task(unique_for="1min")
    def work(n: int) -> None: ...

    first = work(1)
    stage.run_all()
    stage.advance(59)
    again, other = work(1), work(2)
    stage.advance(1)

    assert again.invocation_id == first.invocation_id
    assert is_new(other)
    assert is_new(work(1))


def test_unique_goes_by_key_arguments_if_there_are_some(app: Pynenc) -> None:
    @app.task(unique_for=60, key_arguments=("key",))
    def work(key: str, n: int) -> None: ...

    assert [is_new(each) for each in (work("a", 1), work("a", 2), work("b", 3))] == [True, False, True]


def test_a_debounced_call_runs_once_all_is_quiet_with_the_last_arguments(app: Pynenc, stage: Stage) -> None:
    @app.task(debounce=10, key_arguments=("doc",))
    def index(doc: str, version: int) -> int:
        return version

    first = index("a", 1)
    stage.advance(9)
    second = index("a", 2)
    other = index("b", 7)
    stage.advance(9)
    stage.run_all()
    assert not first.status.is_final()
    stage.advance(1)
    stage.run_all()

    assert second.invocation_id == first.invocation_id
    assert isinstance(second, ReusedInvocation)
    assert second.diff_arg is None
    assert second.arguments.kwargs == {"doc": "a", "version": 2}
    assert (first.result, other.result) == (2, 7)


def test_a_call_after_the_debounced_one_began_is_another_one(app: Pynenc, stage: Stage) -> None:
    @app.task(debounce=10)
    def work() -> None: ...

    work()
    stage.advance(10)
    stage.begin()

    assert is_new(work())


@pytest.mark.parametrize(
    "options",
    [
        {"idempotency_key": "once", "registration_concurrency": "task"},
        {"call_result_cache": True, "debounce": 1},
        {"debounce": 1, "unique_for": 1},
        {"debounce": 1, "on_diff_non_key_args_raise": True},
        {"unique_for": 1, "unique_until": "finished"},
    ],
)
def test_options_that_do_not_go_together_are_refused_where_the_task_is_defined(options: dict[str, Any]) -> None:
    app = Pynenc("memory://")

    with pytest.raises(InvalidTaskOptionsError, match=r"choose one|leave .* out"):

        @app.task(**options)
        def work() -> None: ...


def test_one_call_may_be_unique(app: Pynenc) -> None:
    @app.task
    def work(n: int) -> None: ...

    once = work.options(unique_until="finished")

    assert ids(once(1)) == ids(once(1))
    assert is_new(work(1))


def test_without_a_runner_in_between_asyncio_callers_get_the_same(app: Pynenc, perform: Callable[..., Any]) -> None:
    @app.task(registration_concurrency="task", on_diff_non_key_args_raise=True)
    def work(n: int) -> None: ...

    first = perform(work.acall(1))
    with pytest.raises(InvocationConcurrencyWithDifferentArgumentsError):
        perform(work.acall(2))

    assert isinstance(first, DistributedInvocation)


@pytest.fixture
def perform() -> Callable[..., Any]:
    import asyncio

    return lambda coroutine: asyncio.run(coroutine)
