"""Work that goes on with the results of other work: `then`, `chain`, and calls submitted as a stream.

The call that goes on is submitted at once and carries, in the place of the results, whose they are. They are put in
when its body begins, which is after those have ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pynenc.call import Call, Link
from pynenc.core.outcomes import value_of
from pynenc.core.patience import OutOfReach
from pynenc.errors import DataOutOfReach, InvalidTaskOptionsError, InvocationNotFound, TaskError
from pynenc.invocation.base import BaseInvocation
from pynenc.io import Op, arun, run
from pynenc.model.ids import InvocationId, id_text, parse_id
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.core.submitting import PreparedCall
    from pynenc.invocation.base import BaseInvocationGroup
    from pynenc.task import Task

_CHUNK = 500
_ID = 16


class ResultsOf(Struct, frozen=True):
    """Stands in arguments for the result of an invocation, or the list of those of several."""

    keys: bytes
    """Their ids, laid end to end."""
    several: bool


def results_of(ids: Sequence[InvocationId], *, several: bool) -> ResultsOf:
    """Return what stands for the results of these invocations."""
    return ResultsOf(b"".join(ids), several)


def has_places(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether decoded arguments have places for results."""
    return ResultsOf in map(type, args) or ResultsOf in map(type, kwargs.values())


def filled(app: Pynenc, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return decoded arguments with the results in their places that they stand for."""
    if not has_places(args, kwargs):
        return args, kwargs
    positional = []
    for value in args:
        positional.append((yield from _values(app, value)) if type(value) is ResultsOf else value)
    named = {}
    for name, value in kwargs.items():
        named[name] = (yield from _values(app, value)) if type(value) is ResultsOf else value
    return tuple(positional), named


def _values(app: Pynenc, wanted: ResultsOf) -> Op[Any]:
    """Return the results, in order; of several those alone that succeeded."""
    ids = [InvocationId(wanted.keys[start : start + _ID]) for start in range(0, len(wanted.keys), _ID)]
    values: list[Any] = []
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        for each, snapshot in zip(some, (yield from app.backend.state_backend.snapshots(some)), strict=True):
            if snapshot is None:
                raise InvocationNotFound(f"the result of invocation {id_text(each)} was purged")
            outcome = snapshot.outcome
            if outcome is not None and outcome.status is InvocationStatus.SUCCESS:
                try:
                    values.append((yield from value_of(app.get_task(snapshot.call.task_id), outcome)))
                except DataOutOfReach as error:
                    raise OutOfReach(str(error)) from error
            elif outcome is not None and not wanted.several:
                values.append((yield from value_of(app.get_task(snapshot.call.task_id), outcome)))
    return values if wanted.several else values[0]


# --- one after the other ---


def then(
    app: Pynenc,
    first: BaseInvocation[..., Any] | BaseInvocationGroup[..., Any],
    task: Task[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> BaseInvocation[..., Any]:
    """Submit a call of `task` that begins after `first`, with its result or results before `args`."""
    if app.runs_inline:
        return task(_now(first), *args, **kwargs)
    return run(_submit_then(first, task, args, kwargs))


async def athen(
    app: Pynenc,
    first: BaseInvocation[..., Any] | BaseInvocationGroup[..., Any],
    task: Task[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> BaseInvocation[..., Any]:
    """`then` without blocking the running event loop."""
    if app.runs_inline:
        return await task.acall(_now(first), *args, **kwargs)
    return await arun(_submit_then(first, task, args, kwargs))


def _now(first: BaseInvocation[..., Any] | BaseInvocationGroup[..., Any]) -> Any:
    return first.result if isinstance(first, BaseInvocation) else [each.result for each in first]


def _submit_then(
    first: BaseInvocation[..., Any] | BaseInvocationGroup[..., Any],
    task: Task[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Op[BaseInvocation[..., Any]]:
    several = not isinstance(first, BaseInvocation)
    members = [first] if isinstance(first, BaseInvocation) else first.invocations
    ids = [parse_id(each.invocation_id) for each in members]
    # What `task.after` says stays; whose results are passed on has to end first in any case.
    call = task.prepare((results_of(ids, several=several), *args), kwargs)
    call = replace(call, after=(*call.after, *ids))
    return (yield from task.submit_prepared([call]))[0]


def chain(first: Call[..., Any], links: Sequence[Task[..., Any] | Link]) -> BaseInvocation[..., Any]:
    """Submit calls of which each gets the result of the one before; see `Pynenc.chain`."""
    app = first.task.app
    if app.runs_inline:
        invocation = first.task(*first.arguments.args, **first.arguments.keywords)
        for each in map(_as_link, links):
            invocation = each.task(invocation.result, *each.args, **each.kwargs)
        return invocation
    calls = [_with_id(app, first.task.prepare(first.arguments.args, first.arguments.keywords))]
    for each in map(_as_link, links):
        before = calls[-1]
        _refuse_reuse(before)
        assert before.key is not None
        call = each.task.prepare((results_of([before.key], several=False), *each.args), each.kwargs)
        calls.append(_with_id(app, replace(call, after=(*call.after, before.key))))
    return run(first.task.submit_prepared(calls))[-1]


def _with_id(app: Pynenc, call: PreparedCall) -> PreparedCall:
    return replace(call, key=app.submitter.id_for(call))


def _as_link(link: Task[..., Any] | Link) -> Link:
    return link if isinstance(link, Link) else link.link()


def _refuse_reuse(call: PreparedCall) -> None:
    if call.dedupe is not None:
        raise InvalidTaskOptionsError(
            f"task {call.task.task_id} may reuse an invocation (idempotency_key, call_result_cache), so others cannot "
            "follow it in a chain: submit it on its own and go on with invocation.then(...)"
        )


# --- many calls, one after the other ---


def submit_stream(app: Pynenc, calls: Iterable[Call[..., Any]], batch_size: int) -> Iterator[BaseInvocation[..., Any]]:
    """Submit calls as they come, `batch_size` per atomic unit; see `Pynenc.submit_stream`."""
    for batch in _batches(calls, batch_size):
        if app.runs_inline:
            yield from (each.task(*each.arguments.args, **each.arguments.keywords) for each in batch)
        else:
            yield from run(_submit_batch(batch))


async def asubmit_stream(
    app: Pynenc, calls: Iterable[Call[..., Any]], batch_size: int
) -> AsyncIterator[BaseInvocation[..., Any]]:
    """`submit_stream` without blocking the running event loop."""
    for batch in _batches(calls, batch_size):
        if app.runs_inline:
            submitted = [await each.task.acall(*each.arguments.args, **each.arguments.keywords) for each in batch]
        else:
            submitted = await arun(_submit_batch(batch))
        for invocation in submitted:
            yield invocation


def _submit_batch(batch: Sequence[Call[..., Any]]) -> Op[list[BaseInvocation[..., Any]]]:
    prepared = [each.task.prepare(each.arguments.args, each.arguments.keywords) for each in batch]
    return (yield from batch[0].task.submit_prepared(prepared))


def _batches(calls: Iterable[Call[..., Any]], size: int) -> Iterator[list[Call[..., Any]]]:
    if size < 1:
        raise TaskError(f"batch_size={size}: submit at least one call at a time")
    iterator = iter(calls)
    while batch := list(islice(iterator, size)):
        yield batch
