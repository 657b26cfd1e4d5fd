"""Work that comes after other work: any or some of it, with its results, in chains and streams."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.errors import DependencyFailed, InvalidTaskOptionsError, InvocationCancelled, TaskError
from pynenc.invocation import InvocationStatus
from pynenc.middleware import Middleware
from pynenc.task import Task
from tests.app.conftest import MakeApp

Tasks = dict[str, Task[..., Any]]


def tasks_of(app: Pynenc) -> Tasks:
    def double(x: int) -> int:
        return 2 * x

    def add(x: int, y: int = 1) -> int:
        return x + y

    def total(values: list[int], *, start: int = 0) -> int:
        return sum(values, start)

    def fail(*_: object) -> int:
        raise ValueError("on purpose")

    def label(x: int, text: str) -> str:
        return f"{text}{x}"

    return {each.__name__: app.task(each) for each in (double, add, total, fail, label)}


@pytest.fixture
def tasks(app: Pynenc) -> Tasks:
    return tasks_of(app)


def test_a_call_goes_on_with_the_result_of_another(app: Pynenc, tasks: Tasks) -> None:
    last = tasks["double"](3).then(tasks["add"], y=10).then(tasks["label"], "it is ")

    with app.running():
        assert last.get(timeout=30) == "it is 16"


def test_a_callback_gets_the_results_of_a_group_in_its_order(app: Pynenc, tasks: Tasks) -> None:
    last = tasks["double"].map(range(20)).then(tasks["total"], start=1)

    with app.running():
        assert last.get(timeout=30) == 381


def test_a_chain_passes_results_on(app: Pynenc, tasks: Tasks) -> None:
    last = app.chain(tasks["add"].call(1, 2), tasks["double"], tasks["add"].link(y=4), tasks["label"].link("= "))

    with app.running():
        assert last.get(timeout=30) == "= 10"


def test_a_chain_is_there_as_a_whole_or_not_at_all(app: Pynenc, tasks: Tasks) -> None:
    with pytest.raises(TypeError):
        app.chain(tasks["add"].call(1, 2), tasks["double"].link("one too many"))

    assert app.orchestrator.count_invocations() == 0


def test_a_chain_breaks_where_a_link_fails(app: Pynenc, tasks: Tasks) -> None:
    last = app.chain(tasks["add"].call(1), tasks["fail"], tasks["double"], tasks["double"])

    with app.running(), pytest.raises(InvocationCancelled):
        last.get(timeout=30)


def test_what_may_be_reused_cannot_be_followed_in_a_chain(app: Pynenc, tasks: Tasks) -> None:
    once = tasks["add"].options(idempotency_key="once")

    with pytest.raises(InvalidTaskOptionsError, match="then"):
        app.chain(once.call(1), tasks["double"])

    assert app.chain(tasks["double"].call(1), once).task.task_id == once.task_id


def test_results_are_there_on_an_event_loop_too(app: Pynenc, tasks: Tasks) -> None:
    async def main() -> Any:
        first = await tasks["double"].acall(3)
        group = await tasks["double"].aparallelize([(1,), (2,)])
        return await (await first.athen(tasks["add"])), await (await group.athen(tasks["total"]))

    with app.running():
        assert asyncio.run(main()) == (7, 6)


def test_a_body_chains_as_its_caller_does(app: Pynenc, tasks: Tasks) -> None:
    @app.task
    def parent() -> Any:
        chained = app.chain(tasks["add"].call(1, 2), tasks["double"])
        return chained.result, tasks["double"].map([1, 2]).then(tasks["total"]).result

    with app.running():
        assert parent().get(timeout=30) == (6, 6)


def test_middleware_sees_the_results_in_their_places(app: Pynenc, tasks: Tasks) -> None:
    seen: list[object] = []

    class Watching(Middleware):
        def before_run(self, event: Any) -> None:
            seen.append(event.arguments.kwargs)

        def after_run(self, event: Any) -> None:
            seen.append(event.arguments.kwargs)

    app.add_middleware(Watching())
    last = tasks["double"](3).then(tasks["add"], y=10)

    with app.running():
        assert last.get(timeout=30) == 16

    assert seen[-1] == {"x": 6, "y": 10}


@pytest.mark.parametrize("need", ["any", 2])
def test_enough_of_several_are_enough(app: Pynenc, tasks: Tasks, need: Any) -> None:
    late = tasks["double"].options(delay=3_600)
    group = app.submit_many([tasks["double"].call(1), tasks["fail"].call(), late.call(3), tasks["add"].call(1)])
    last = tasks["add"].after(group, need=need)(5)

    with app.running():
        assert last.get(timeout=30) == 6


def test_too_few_cancel_it_or_fail_it_as_wanted(app: Pynenc, tasks: Tasks) -> None:
    group = app.submit_many([tasks["double"].call(1), tasks["fail"].call(), tasks["fail"].call()])
    cancelled = tasks["add"].after(group, need=2)(5)
    failed = tasks["add"].after(group, "fail", need=2)(5)
    anyway = tasks["add"].after(group, "done")(5)

    with app.running():
        with pytest.raises(InvocationCancelled, match="ended failed"):
            cancelled.get(timeout=30)
        with pytest.raises(DependencyFailed, match="ended failed"):
            failed.get(timeout=30)
        assert anyway.get(timeout=30) == 6

    assert [letter.invocation_id for letter in app.dead_letters(reason="dependency")] == [failed.invocation_id]


def test_a_callback_may_get_the_results_of_those_that_succeeded(app: Pynenc, tasks: Tasks) -> None:
    group = app.submit_many([tasks["double"].call(1), tasks["fail"].call(), tasks["double"].call(2)])
    last = group.then(tasks["total"].after(group, "done"))

    with app.running():
        assert last.get(timeout=30) == 6


@pytest.mark.parametrize("need", [0, 3, -1, True, "some", 1.5])
def test_a_number_that_cannot_be_met_is_refused(app: Pynenc, tasks: Tasks, need: Any) -> None:
    group = tasks["double"].map([1, 2])

    with pytest.raises(InvalidTaskOptionsError, match="need="):
        tasks["add"].after(group, need=need)


def test_calls_in_place_chain_as_well(make_app: MakeApp) -> None:
    app = make_app(dev_mode_force_sync_tasks=True)
    tasks = tasks_of(app)

    assert app.chain(tasks["add"].call(1, 2), tasks["double"], tasks["label"].link("")).result == "6"
    assert tasks["double"].map([1, 2]).then(tasks["total"]).result == 6
    assert [each.result for each in app.submit_stream(tasks["double"].call(x) for x in range(3))] == [0, 2, 4]


def test_a_stream_is_submitted_in_batches_as_it_is_read(app: Pynenc, tasks: Tasks) -> None:
    stream = app.submit_stream((tasks["double"].call(x) for x in range(10)), batch_size=4)
    assert app.orchestrator.count_invocations() == 0

    first = next(stream)

    assert app.orchestrator.count_invocations() == 4
    rest = list(stream)
    with app.running():
        assert [each.get(timeout=30) for each in (first, *rest)] == [2 * x for x in range(10)]
    with pytest.raises(TaskError, match="batch_size=0"):
        next(app.submit_stream([], batch_size=0))


def test_a_graph_of_20000_edges_needs_no_more_memory_than_a_batch(tmp_path: Any) -> None:
    app = Pynenc(f"sqlite:///{tmp_path}/graph.db", app_id="graph")
    double = tasks_of(app)["double"]
    roots = [double(0), double(1)]

    def submit(number: int) -> int:
        calls = (double.after(roots).call(x) for x in range(number))
        tracemalloc.reset_peak()
        for _ in app.submit_stream(calls):
            pass
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        submit(500)
        small, large = submit(1_000), submit(9_000)
    finally:
        tracemalloc.stop()

    assert app.orchestrator.count_invocations(statuses=[InvocationStatus.REGISTERED]) == 10_502
    assert large < 1.5 * small
    app.close()
