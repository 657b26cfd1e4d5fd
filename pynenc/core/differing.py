"""Two calls with one key but different arguments: what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pynenc.context import decoding_app
from pynenc.errors import InvocationConcurrencyWithDifferentArgumentsError
from pynenc.io import Op
from pynenc.model.ids import InvocationId, id_text

if TYPE_CHECKING:
    from pynenc.core.submitting import PreparedCall
    from pynenc.task import Task

_LONGEST = 200
"""Characters of an argument that are shown."""
_MISSING = object()


def different_arguments(
    call: PreparedCall, existing: InvocationId
) -> Op[InvocationConcurrencyWithDifferentArgumentsError]:
    """Return the error of a call whose key is held by an invocation with other arguments."""
    task = call.task
    snapshot = (yield from task.app.backend.state_backend.snapshots([existing]))[0]
    diff = "its arguments are not known any more"
    if snapshot is not None:
        before = yield from named_arguments(task, snapshot.call.arguments)
        diff = difference(before, (yield from named_arguments(task, call.sealed)))
    return InvocationConcurrencyWithDifferentArgumentsError(task.task_id, id_text(existing), diff)


def named_arguments(task: Task[..., Any], sealed: bytes) -> Op[dict[str, Any]]:
    """Return encoded arguments by the names of their parameters."""
    token = decoding_app.set(task.app)
    try:
        args, kwargs = yield from task.payloads.decode_arguments(sealed)
    finally:
        decoding_app.reset(token)
    return dict(task.args(*args, **kwargs).kwargs)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return a line for each argument that is not the same."""
    changed = [name for name in {**before, **after} if before.get(name, _MISSING) != after.get(name, _MISSING)]
    lines = [f"{name}: {_shown(before, name)} -> {_shown(after, name)}" for name in changed]
    return "\n".join(lines) or "they are equal, but are not written alike"


def _shown(arguments: Mapping[str, Any], name: str) -> str:
    if name not in arguments:
        return "(not given)"
    text = repr(arguments[name])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
