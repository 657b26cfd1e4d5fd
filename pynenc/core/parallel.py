"""Many calls of one task: `parallelize`, and direct tasks that split themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pynenc.call import Arguments, Call
from pynenc.core.keys import SharedArguments
from pynenc.errors import TaskError, TaskParallelProcessingError
from pynenc.io import Op, arun, run

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.invocation import BaseInvocation, BaseInvocationGroup
    from pynenc.task import DirectTask, Task

P = ParamSpec("P")
R = TypeVar("R")


def submit_parallel(
    task: Task[P, R], param_iter: Iterable[Any], common_args: Mapping[str, Any] | None
) -> BaseInvocationGroup[P, R]:
    """Submit one call per element of `param_iter`; see `Task.parallelize`."""
    if task.app.runs_inline:
        return _inline_group(task, [task(*args, **kwargs) for args, kwargs in _calls(param_iter, common_args)])
    common = run(_store_common(task, common_args))
    shared = SharedArguments(common_args or {})
    invocations: list[BaseInvocation[P, R]] = []
    for batch in _batches(_calls(param_iter, common), task.conf.parallel_batch_size):
        invocations += run(_submit_batch(task, batch, shared))
    return _group(task, invocations)


async def asubmit_parallel(
    task: Task[P, R], param_iter: Iterable[Any], common_args: Mapping[str, Any] | None
) -> BaseInvocationGroup[P, R]:
    """`submit_parallel` without blocking the running event loop."""
    if task.app.runs_inline:
        calls = _calls(param_iter, common_args)
        return _inline_group(task, [await task.acall(*args, **kwargs) for args, kwargs in calls])
    common = await arun(_store_common(task, common_args))
    shared = SharedArguments(common_args or {})
    invocations: list[BaseInvocation[P, R]] = []
    for batch in _batches(_calls(param_iter, common), task.conf.parallel_batch_size):
        invocations += await arun(_submit_batch(task, batch, shared))
    return _group(task, invocations)


def submit_calls(app: Pynenc, calls: Sequence[Call[..., Any]]) -> BaseInvocationGroup[..., Any]:
    """Submit calls of any tasks in one atomic unit; see `Pynenc.submit_many`."""
    if not calls:
        raise TaskError("submit_many got no calls: there is nothing to submit")
    task = calls[0].task
    arguments = [(call.task, call.arguments.args, call.arguments.keywords) for call in calls]
    if app.runs_inline:
        return _inline_group(task, [each(*args, **kwargs) for each, args, kwargs in arguments])
    prepared = [each.prepare(args, kwargs) for each, args, kwargs in arguments]
    return _group(task, run(task.submit_prepared(prepared)))


def call_direct(direct: DirectTask[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a direct task and return its value."""
    if direct.parallel_func is None:
        return direct.task(*args, **kwargs).result
    params, common = _split(direct, args, kwargs)
    group = submit_parallel(direct.task, params, common)
    return _join(direct, list(group.results))


async def acall_direct(direct: DirectTask[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`call_direct` for a direct task around an `async def`."""
    if direct.parallel_func is None:
        return await (await direct.task.acall(*args, **kwargs)).async_result()
    params, common = _split(direct, args, kwargs)
    group = await asubmit_parallel(direct.task, params, common)
    return _join(direct, [value async for value in group.async_results()])


def _calls(
    param_iter: Iterable[Any], common_args: Mapping[str, Any] | None
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    common = dict(common_args or {})
    return (_as_call(element, common) for element in param_iter)


def _as_call(element: Any, common: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(element, Arguments):
        return element.args, {**common, **element.keywords}
    if isinstance(element, dict):
        return (), {**common, **element}
    if isinstance(element, tuple):
        return element, common
    return (element,), common


def _store_common(task: Task[..., Any], common_args: Mapping[str, Any] | None) -> Op[dict[str, Any]]:
    """Encode what all calls share once: large values go to the client data store, calls carry their keys."""
    stored: dict[str, Any] = {}
    for name, value in (common_args or {}).items():
        stored[name] = yield from task.payloads.share(value)
    return stored


def _submit_batch(
    task: Task[P, R], batch: list[tuple[tuple[Any, ...], dict[str, Any]]], shared: SharedArguments
) -> Op[list[BaseInvocation[P, R]]]:
    return (yield from task.submit_prepared([task.prepare(args, kwargs, shared) for args, kwargs in batch]))


def _group(task: Task[P, R], invocations: list[BaseInvocation[P, R]]) -> BaseInvocationGroup[P, R]:
    from pynenc.invocation.group import DistributedInvocationGroup

    return DistributedInvocationGroup(task, invocations)


def _inline_group(task: Task[P, R], invocations: list[BaseInvocation[P, R]]) -> BaseInvocationGroup[P, R]:
    from pynenc.invocation.group import ConcurrentInvocationGroup

    return ConcurrentInvocationGroup(task, invocations)


def _batches(calls: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(calls)
    while batch := list(islice(iterator, size)):
        yield batch


def _split(
    direct: DirectTask[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Iterable[Any], Mapping[str, Any] | None]:
    """Ask `parallel_func` for the calls and the arguments they share."""
    assert direct.parallel_func is not None
    given = direct.parallel_func(direct.task.args(*args, **kwargs).kwargs)
    if isinstance(given, Mapping) and {*given} <= {"common_args", "param_iter"} and "param_iter" in given:
        given = (given.get("common_args") or {}, given["param_iter"])
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Mapping) and _is_series(given[1]):
        return given[1], given[0]
    if not _is_series(given):
        raise TaskParallelProcessingError(
            f"parallel_func of {direct.task_id} returned {type(given).__name__}; it has to return an iterable of "
            "tuples, dictionaries or arguments, or (common arguments, such an iterable)"
        )
    return given, None


def _is_series(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _join(direct: DirectTask[..., Any], results: list[Any]) -> Any:
    assert direct.aggregate_func is not None
    return direct.aggregate_func(results)
