"""Waiting for outcomes, from a run or from outside, blocking or on an event loop.

Inside a run the wait suspends it: its slot serves others. Outside, the client session is told.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pynenc.context import RunContext, current_run
from pynenc.errors import InvocationNotFound, ResultTimeout, WaitCycle
from pynenc.io import run
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.policies import decode_policy
from pynenc.model.records import Outcome
from pynenc.ports.run_link import WaitReply

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_SMALL_GROUP = 64
"""A body that waits for a group up to this size goes on with each one that ends."""


def wait_each(app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None) -> Iterator[Outcome]:
    """Yield the outcome of each of `ids` as it ends; stop early when `timeout_s` has passed.

    Raises:
        InvocationNotFound: nobody knows one of the ids.
        WaitCycle: the calling run would wait for itself.
    """
    context = current_run.get()
    if context is not None and context.app is app:
        outcomes = _suspend_each(context, ids, timeout_s)
    else:
        outcomes = _receive_each(app, ids, timeout_s)
    if not app.hooks.wait:
        return outcomes
    from pynenc.middleware.waiting import told_each

    return told_each(app, ids, timeout_s, outcomes)


def await_each(app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None) -> AsyncIterator[Outcome]:
    """`wait_each` without blocking the running event loop."""
    context = current_run.get()
    if context is not None and context.app is app:
        outcomes = _asuspend_each(context, ids, timeout_s)
    else:
        outcomes = _areceive_each(app, ids, timeout_s)
    if not app.hooks.wait:
        return outcomes
    from pynenc.middleware.waiting import atold_each

    return atold_each(app, ids, timeout_s, outcomes)


# --- inside a run ---------------------------------------------------------------------------------------


def _suspend_each(context: RunContext, ids: Sequence[InvocationId], timeout_s: float | None) -> Iterator[Outcome]:
    missing = dict.fromkeys(ids)
    deadline = _deadline(_bounded(context, timeout_s))
    while missing:
        reply = context.link.wait(tuple(missing), need=_need(len(missing)), timeout_us=_left_us(deadline))
        _refuse(context, reply)
        yield from _take(missing, reply)
        if reply.timed_out and missing:
            _check_wait_timeout(context, timeout_s)
            return


async def _asuspend_each(
    context: RunContext, ids: Sequence[InvocationId], timeout_s: float | None
) -> AsyncIterator[Outcome]:
    missing = dict.fromkeys(ids)
    deadline = _deadline(_bounded(context, timeout_s))
    while missing:
        reply = await context.link.await_(tuple(missing), need=_need(len(missing)), timeout_us=_left_us(deadline))
        _refuse(context, reply)
        for outcome in _take(missing, reply):
            yield outcome
        if reply.timed_out and missing:
            _check_wait_timeout(context, timeout_s)
            return


def _check_wait_timeout(context: RunContext, timeout_s: float | None) -> None:
    """Raise if it was the task's own limit that ended a wait, not the caller's."""
    bound_s = _bounded(context, timeout_s)
    if bound_s is not None and bound_s != timeout_s:
        raise ResultTimeout(
            f"{context.claim.task_id} waited for others longer than its wait_timeout of {bound_s:g} s",
            invocation_id=id_text(context.claim.invocation_id),
        )


def _bounded(context: RunContext, timeout_s: float | None) -> float | None:
    """Return how long this wait may last: what the caller says, at most the task's `wait_timeout`."""
    limit_us = decode_policy(context.claim.policy).wait_timeout_us
    if limit_us is None:
        return timeout_s
    limit_s = limit_us / 1_000_000
    return limit_s if timeout_s is None else min(timeout_s, limit_s)


def _need(missing: int) -> int:
    """Return how many of a group a body waits for at once.

    Each wake-up of a body that waits for n others costs O(n); waking for a sixteenth of the rest keeps the whole at
    O(n log n) and still hands results on early.
    """
    return 1 if missing <= _SMALL_GROUP else missing // 16


def _take(missing: dict[InvocationId, Any], reply: WaitReply) -> Iterator[Outcome]:
    for outcome in reply.outcomes:
        if outcome.invocation_id in missing:
            del missing[outcome.invocation_id]
            yield outcome


def _refuse(context: RunContext, reply: WaitReply) -> None:
    if reply.cycle:
        raise _wait_cycle(context, reply.cycle)
    if reply.unknown:
        raise InvocationNotFound(f"no invocation has the id {id_text(reply.unknown[0])}, or it was purged")


def _wait_cycle(context: RunContext, cycle: tuple[InvocationId, ...]) -> WaitCycle:
    snapshots = run(context.app.backend.state_backend.snapshots(cycle))
    named = [
        f"{snapshot.call.task_id if snapshot else 'unknown task'} {id_text(invocation_id)}"
        for invocation_id, snapshot in zip(cycle, snapshots, strict=True)
    ]
    return WaitCycle(
        tuple(id_text(invocation_id) for invocation_id in cycle),
        "these invocations would wait for each other for ever: " + " -> ".join(named),
    )


# --- outside --------------------------------------------------------------------------------------------


def _receive_each(app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None) -> Iterator[Outcome]:
    import queue

    arrived: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
    deadline = _deadline(timeout_s)
    subscription = run(app.client.subscribe(list(dict.fromkeys(ids)), arrived.put))
    try:
        for _ in range(len(set(ids))):
            try:
                item = arrived.get(timeout=_left_s(deadline))
            except queue.Empty:
                return
            yield _outcome(item)
    finally:
        subscription.close()


async def _areceive_each(app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None) -> AsyncIterator[Outcome]:
    import asyncio

    arrived: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()
    deadline = _deadline(timeout_s)
    subscription = await app.client.asubscribe(list(dict.fromkeys(ids)), arrived.put_nowait)
    try:
        for _ in range(len(set(ids))):
            try:
                async with asyncio.timeout(_left_s(deadline)):
                    item = await arrived.get()
            except TimeoutError:
                return
            yield _outcome(item)
    finally:
        subscription.close()


def _outcome(item: Outcome | BaseException) -> Outcome:
    if isinstance(item, BaseException):
        raise item
    return item


# --- time -----------------------------------------------------------------------------------------------


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


def _left_s(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _left_us(deadline: float | None) -> int | None:
    left = _left_s(deadline)
    return None if left is None else int(left * 1_000_000)
