"""Requests as the arguments of functions: one array per field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pynenc.backends.gate_checks import checked
from pynenc.backends.postgresql.arrays import Array, bigints, byteas, integers, texts
from pynenc.backends.postgresql.gates import gates_text, lane_of
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    Cancelled,
    Completion,
    Crash,
    Exchange,
    Failure,
    Fence,
    Release,
    Retry,
    Submission,
    Success,
    Suspend,
)

SUBMIT_ALIKE = (
    "submit_alike(bytea, bigint, bigint, bytea[], bytea[], text, text, text, bytea, bytea, integer, bigint, bigint, "
    "bigint, integer)"
)
SUBMIT_PLAIN = (
    "submit_plain(bytea, bigint, bigint, bytea[], text[], text[], text[], bytea[], bytea[], bytea[], integer[], "
    "bigint[], bigint[], bigint[], bigint[], integer[])"
)
SUBMIT_GATED = f"submit_gated{SUBMIT_PLAIN.removeprefix('submit_plain').removesuffix(')')}, text[], bytea[])"
SUBMIT_WITHIN = (
    "submit_within(bytea[], text[], text[], text[], bytea[], bytea[], bytea[], integer[], bigint[], bigint[], "
    "bigint[], bigint[], integer[], text[], text[], integer[], bytea[])"
)
SUBMIT = (
    "submit(bytea[], text[], text[], text[], bytea[], bytea[], bytea[], integer[], bigint[], bigint[], bigint[], "
    "bigint[], integer[], bytea[], bigint[], bigint[], bytea[], integer[], bytea[], integer[], integer[], integer[], "
    "bytea[], bigint[], text[], text[], integer[], bytea[])"
)
EXCHANGE = (
    "exchange(boolean, bigint, bytea[], bigint[], integer[], bigint[], bigint[], bytea[], text[], bigint[], integer[], "
    "bytea[], bigint[], bigint[], bigint[], bytea[], bigint[], bytea[], integer, text[], boolean, bigint, boolean, "
    "boolean, integer, bytea)"
)
MOVE_IN = "move_in(text, json, json, json, json, json, json, json, json)"
_PLAIN_KINDS = (0, 1, 2)


def common_parent(items: Sequence[Submission]) -> tuple[InvocationId | None, Fence | None] | None:
    """Return parent and fence if these are plain submissions: one for all, nothing to come after, no key, no flow."""
    first = items[0]
    for item in items:
        if item.flow is not None:
            return None
        if item.after or item.dedupe is not None or item.parent != first.parent or item.parent_id != first.parent_id:
            return None
    if len({item.invocation_id for item in items}) < len(items):
        return None
    return (first.parent.invocation_id if first.parent else first.parent_id), first.parent


def are_alike(items: Sequence[Submission]) -> bool:
    """Whether these differ in id and arguments only, and bring no order of their own."""
    first = items[0]
    alike = _likeness(first)
    return first.key is None and all(_likeness(item) == alike and item.key is None for item in items[1:])


def _likeness(item: Submission) -> tuple[Any, ...]:
    return (
        item.task_id,
        item.queue,
        item.language,
        item.policy,
        item.meta,
        item.band,
        item.delay_or_instant,
        item.expires_us,
        item.retention_us,
        item.max_crashes,
    )


def alike_arguments(items: Sequence[Submission]) -> list[Any]:
    """Return the arguments of `submit_alike` after the parent and its fence."""
    return [
        byteas([item.invocation_id for item in items]),
        byteas([item.arguments for item in items]),
        *_likeness(items[0]),
    ]


def submission_columns(items: Sequence[Submission]) -> list[Array]:
    """Return what every submission has, one array per field."""
    return [
        byteas([item.invocation_id for item in items]),
        texts([item.task_id for item in items]),
        texts([item.queue for item in items]),
        texts([item.language for item in items]),
        byteas([item.arguments for item in items]),
        byteas([item.policy for item in items]),
        byteas([item.meta for item in items]),
        integers([item.band for item in items]),
        bigints([item.key for item in items]),
        bigints([item.delay_or_instant for item in items]),
        bigints([item.expires_us for item in items]),
        bigints([item.retention_us for item in items]),
        integers([item.max_crashes for item in items]),
    ]


def rare_columns(items: Sequence[Submission]) -> list[Array]:
    """Return what only some submissions have."""
    return [
        byteas([item.parent.invocation_id if item.parent else item.parent_id for item in items]),
        bigints([item.parent.session if item.parent else None for item in items]),
        bigints([item.parent.epoch if item.parent else None for item in items]),
        byteas([item.dedupe.key if item.dedupe else None for item in items]),
        integers([item.dedupe.phase.value if item.dedupe else 0 for item in items]),
        byteas([b"".join(item.after) for item in items]),
        integers([item.after_policy.value for item in items]),
        integers([item.after_need for item in items]),
        integers([item.dedupe.mode.value if item.dedupe else 0 for item in items]),
        byteas([item.dedupe.arguments_hash if item.dedupe else b"" for item in items]),
        bigints([item.dedupe.window_us if item.dedupe else 0 for item in items]),
        *gate_columns(items),
    ]


def gate_columns(items: Sequence[Submission]) -> list[Array]:
    """Return gates and flows of submissions.

    Raises:
        InvalidGate: a number is out of its bounds, a key too long, or a gate is there twice.
    """
    each = [checked(item.gates, item.flow) if item.gates or item.flow else () for item in items]
    return [
        texts([gates_text(gates) if gates else None for gates in each]),
        texts([None if item.flow is None else item.flow.key for item in items]),
        integers([None if item.flow is None else item.flow.weight for item in items]),
        byteas([lane_of(item.queue, gates, item.flow) for item, gates in zip(items, each, strict=True)]),
    ]


_DETAILS: dict[type, Callable[[Any], tuple[int, bytes, str, int | None, int]]] = {
    Success: lambda done: (0, done.result, "", None, 0),
    Failure: lambda done: (1, done.error, done.reason, None, 0),
    Cancelled: lambda done: (2, b"", done.detail, None, 0),
    Retry: lambda done: (3, done.error, "", done.delay_us, done.reason.value),
    Release: lambda done: (4, b"", done.detail, done.delay_us, 0),
    Crash: lambda done: (5, b"", done.detail, None, 0),
    Suspend: lambda done: (6, b"".join(done.waits), "inherit" if done.inherit else "", done.timeout_us, done.need),
}
"""What a completion is: kind, payload, text, a duration, a number."""


def is_plain(completions: Sequence[Completion]) -> bool:
    """Whether these only end invocations, each one once."""
    ends = all(_DETAILS[type(done)](done)[0] in _PLAIN_KINDS for done in completions)
    return ends and len({done.invocation_id for done in completions}) == len(completions)


def exchange_columns(request: Exchange) -> list[Any]:
    """Return the arguments of `exchange` after the first two."""
    done = request.completions
    details = [_DETAILS[type(each)](each) for each in done]
    return [
        request.session,
        byteas([each.invocation_id for each in done]),
        bigints([each.epoch for each in done]),
        integers([each[0] for each in details]),
        bigints([each.ran_us for each in done]),
        bigints([each.worker for each in done]),
        byteas([each[1] for each in details]),
        texts([each[2] for each in details]),
        bigints([each[3] for each in details]),
        integers([each[4] for each in details]),
        byteas([each.invocation_id for each in request.started]),
        bigints([each.epoch for each in request.started]),
        bigints([each.worker for each in request.started]),
        bigints([each.ago_us for each in request.started]),
        byteas([each.invocation_id for each in request.progress]),
        bigints([each.epoch for each in request.progress]),
        byteas([each.body for each in request.progress]),
        request.want,
        texts(request.queues),
        request.claim_new,
        request.before,
        request.awaited,
        request.idle,
        request.tick_budget,
        None if request.info is None else msgspec.msgpack.encode(request.info),
    ]
