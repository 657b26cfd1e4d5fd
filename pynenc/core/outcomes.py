"""From an outcome to what the caller of a task gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynenc.context import decoding_app
from pynenc.errors import (
    DependencyFailed,
    InvocationCancelled,
    InvocationDropped,
    InvocationError,
    InvocationExpired,
    WorkerLost,
)
from pynenc.io import Op, run
from pynenc.model.ids import id_text
from pynenc.model.records import Outcome
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.task import Task

_ENDED_WITHOUT_RESULT: dict[InvocationStatus, type[InvocationError]] = {
    InvocationStatus.CANCELLED: InvocationCancelled,
    InvocationStatus.EXPIRED: InvocationExpired,
    InvocationStatus.CONCURRENCY_CONTROLLED_FINAL: InvocationDropped,
}


def result_of(task: Task[..., Any], outcome: Outcome) -> Any:
    """`value_of` for blocking callers."""
    if outcome.status is not InvocationStatus.SUCCESS or not task.payloads.is_here(outcome.payload):
        return run(value_of(task, outcome))
    token = decoding_app.set(task.app)
    try:
        return task.payloads.open_here(outcome.payload)
    finally:
        decoding_app.reset(token)


def value_of(task: Task[..., Any], outcome: Outcome) -> Op[Any]:
    """Return the result an outcome carries, or raise the error it stands for."""
    token = decoding_app.set(task.app)
    try:
        if outcome.status is InvocationStatus.SUCCESS:
            return (yield from task.payloads.decode_value(outcome.payload))
        raise (yield from error_of(task, outcome))
    finally:
        decoding_app.reset(token)


def error_of(task: Task[..., Any], outcome: Outcome) -> Op[BaseException]:
    """Return the error of an invocation that did not succeed."""
    if outcome.payload:
        return (yield from task.payloads.decode_error(outcome.payload))
    kind = _ENDED_WITHOUT_RESULT.get(outcome.status, InvocationError)
    if outcome.status is InvocationStatus.FAILED and not outcome.session:
        # Only the store itself gives up on an invocation: after too many crashes, or because of those it came after.
        kind = WorkerLost if outcome.crashes else DependencyFailed
    text = id_text(outcome.invocation_id)
    return kind(
        f"{task.task_id} {text} ended {outcome.status.value.upper()}: {outcome.reason or 'no reason was given'}",
        invocation_id=text,
    )
