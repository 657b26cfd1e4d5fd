"""Requests to the scripts as bytes; see `codec`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from pynenc.backends.gate_checks import checked
from pynenc.backends.redis.codec import pack
from pynenc.backends.redis.gates import call_fields, key_terms
from pynenc.model.records import (
    Cancelled,
    Completion,
    Crash,
    Exchange,
    Failure,
    Release,
    Retry,
    Submission,
    Success,
    Suspend,
)


def gated_submission_fields(item: Submission) -> list[Any]:
    """Return what the gated build of `submit.lua` reads of one item: gates, flow, terms of the key beside the others.

    Raises:
        InvalidGate: a gate or flow has a number out of its bounds.
    """
    gates = call_fields(checked(item.gates, item.flow), item.flow)
    return [*submission_fields(item, gates), *(gates or (False, False)), key_terms(item.dedupe) or False]


def submission_fields(item: Submission, gates: tuple[Any, ...] = ()) -> list[Any]:
    """Return what `submit.lua` reads of one item.

    Args:
        gates: what its call ends with.
    """
    parent = item.parent
    call = pack((item.task_id, item.queue, item.language, item.policy, item.meta, item.arguments, *gates))
    return [
        item.invocation_id,
        item.queue,
        item.band,
        False if item.key is None else item.key,
        item.delay_or_instant,
        False if item.expires_us is None else item.expires_us,
        False if item.retention_us is None else item.retention_us,
        item.max_crashes,
        b"".join(item.after),
        item.after_policy.value,
        item.dedupe.key if item.dedupe else b"",
        item.dedupe.phase.value if item.dedupe else 0,
        parent.invocation_id if parent else item.parent_id or b"",
        parent.session if parent else 0,
        parent.epoch if parent else 0,
        call,
        item.after_need,
    ]


_ALIKE = attrgetter(
    *("task_id", "queue", "language", "policy", "meta", "band", "retention_us", "max_crashes"),
    *("key", "delay_or_instant", "expires_us", "after", "dedupe", "parent", "parent_id", "gates", "flow"),
)
_GATES = 15
"""Place of the gates among these."""
_NOTHING_ELSE = (None, 0, None, (), None, None, None, (), None)


def alike_fields(items: Sequence[Submission]) -> tuple[bytes, bytes] | None:
    """Return what `submit.lua` reads of items that differ in id and arguments only; None if there is more to them."""
    first = _ALIKE(items[0])
    if first[8:] != _NOTHING_ELSE or any(_ALIKE(item) != first for item in items[1:]):
        return None
    if len({item.invocation_id for item in items}) < len(items):
        return None
    task_id, queue, language, policy, meta, band, retention_us, max_crashes = first[:8]
    # The arguments are the last field of a call: what comes before them is the same in all.
    head = b"\0" + pack((task_id, queue, language, policy, meta, b""))[:-1]
    flat: list[bytes] = []
    for item in items:
        flat.append(item.invocation_id)
        flat.append(head + pack(item.arguments))
    return pack((queue, band, False if retention_us is None else retention_us, max_crashes)), pack(flat)


def alike_gated_fields(items: Sequence[Submission]) -> tuple[bytes, bytes, bytes] | None:
    """Return what the gated build reads of items that differ in gates and flow besides; None if there is more to them.

    Raises:
        InvalidGate: a gate or flow has a number out of its bounds.
    """
    first = _ALIKE(items[0])[:_GATES]
    if first[8:] != _NOTHING_ELSE[: _GATES - 8] or any(_ALIKE(item)[:_GATES] != first for item in items[1:]):
        return None
    if len({item.invocation_id for item in items}) < len(items):
        return None
    task_id, queue, language, policy, meta, band, retention_us, max_crashes = first[:8]
    head = b"\0" + pack((task_id, queue, language, policy, meta, b"", 0, 0))[:-3]
    flat: list[bytes] = []
    for item in items:
        gates = call_fields(checked(item.gates, item.flow), item.flow)
        if not gates:
            return None
        # Both end to end: the head of the pair is one byte.
        gated = pack(gates)[1:]
        flat += (item.invocation_id, head + pack(item.arguments) + gated, gated)
    return pack((queue, band, False if retention_us is None else retention_us, max_crashes)), b"", pack(flat)


def _success(done: Success) -> tuple[Any, ...]:
    return b"success", done.invocation_id, done.epoch, done.ran_us, done.worker, done.result


def _failure(done: Failure) -> tuple[Any, ...]:
    return b"failure", done.invocation_id, done.epoch, done.ran_us, done.worker, done.error, done.reason


def _retry(done: Retry) -> tuple[Any, ...]:
    place = (b"retry", done.invocation_id, done.epoch, done.ran_us, done.worker)
    return (*place, done.error, done.delay_us, done.reason.value)


def _release(done: Release) -> tuple[Any, ...]:
    return b"release", done.invocation_id, done.epoch, done.ran_us, done.worker, done.detail, done.delay_us


def _crash(done: Crash) -> tuple[Any, ...]:
    return b"crash", done.invocation_id, done.epoch, done.ran_us, done.worker, done.detail


def _cancelled(done: Cancelled) -> tuple[Any, ...]:
    return b"cancelled", done.invocation_id, done.epoch, done.ran_us, done.worker, done.detail


def _suspend(done: Suspend) -> tuple[Any, ...]:
    timeout = False if done.timeout_us is None else done.timeout_us
    place = (b"suspend", done.invocation_id, done.epoch, done.ran_us, done.worker)
    return (*place, b"".join(done.waits), done.need, timeout, done.inherit)


_COMPLETIONS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    Success: _success,
    Failure: _failure,
    Retry: _retry,
    Release: _release,
    Crash: _crash,
    Cancelled: _cancelled,
    Suspend: _suspend,
}


def completion_fields(done: Completion) -> tuple[Any, ...]:
    """Return what `exchange.lua` reads of one completion."""
    return _COMPLETIONS[type(done)](done)


def exchange_fields(request: Exchange) -> tuple[Any, ...]:
    """Return what `exchange.lua` reads of a request."""
    successes: list[Any] = []
    for done in request.completions:
        if type(done) is not Success:
            break
        successes += (done.invocation_id, done.epoch, done.ran_us, done.worker, done.result)
    return (
        request.session,
        [completion_fields(done) for done in request.completions[len(successes) // 5 :]],
        [(each.invocation_id, each.epoch, each.worker, each.ago_us) for each in request.started],
        [(each.invocation_id, each.epoch, each.body) for each in request.progress],
        request.want,
        request.queues,
        request.claim_new,
        request.idle,
        request.tick_budget,
        False if request.before is None else request.before,
        request.awaited,
        successes,
        False if request.info is None else msgspec.msgpack.encode(request.info),
    )
