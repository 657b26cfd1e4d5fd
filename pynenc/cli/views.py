"""Invocations as the command line shows them: plain values under names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pynenc.conf.config_pynenc import ArgumentPrintMode
from pynenc.core.history import derive_history, public_status
from pynenc.core.progress import read_progress
from pynenc.core.why import explain
from pynenc.invocation.history import HistoryEntry
from pynenc.io import run
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import Attempt, Snapshot
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_SHOWN_MODES = (ArgumentPrintMode.FULL, ArgumentPrintMode.TRUNCATED)


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a row of a list says."""
    outcome = snapshot.outcome
    record = outcome or snapshot.control
    return {
        "invocation_id": id_text(snapshot.call.invocation_id),
        "task_id": snapshot.call.task_id,
        "queue": snapshot.call.queue,
        "status": status_of(snapshot),
        "attempt": record.attempt if record else 0,
        "created_at": instant(snapshot.call.created_at_us),
        "started_at": instant(record.started_at_us if record else None),
        "ended_at": instant(outcome.ended_at_us if outcome else None),
    }


def status_of(snapshot: Snapshot) -> str:
    """Return the public status."""
    if snapshot.outcome is not None:
        return snapshot.outcome.status.value
    return public_status(snapshot.control).value if snapshot.control else "unknown"


def details(app: Pynenc, snapshot: Snapshot) -> dict[str, Any]:
    """Return all that is known of one invocation."""
    call, record = snapshot.call, snapshot.outcome or snapshot.control
    return {
        **summary(snapshot),
        "crashes": record.crashes if record else 0,
        "arguments": _arguments(app, snapshot),
        "progress": progress_of(snapshot),
        "parent_id": id_text(call.parent_id) if call.parent_id else None,
        "root_id": id_text(call.root_id),
        "why": run(explain(app.backend, call.invocation_id)),
        "result": _result(app, snapshot),
        "error": _error(app, snapshot),
        "history": [_entry(each) for each in run(derive_history(app.backend, snapshot))],
        "attempts": [_attempt(each) for each in snapshot.attempts],
        "children": _children(app, call.invocation_id),
    }


def progress_of(snapshot: Snapshot) -> dict[str, Any] | None:
    """Return the last progress that the body reported."""
    progress = read_progress(snapshot.progress)
    if progress is None:
        return None
    return {
        "done": progress.done,
        "total": progress.total,
        "fraction": progress.fraction,
        "message": progress.message,
        "details": progress.details,
        "at": instant(progress.at_us),
    }


def instant(at_us: int | None) -> datetime | None:
    """Return an instant of a store."""
    return None if at_us is None else datetime.fromtimestamp(at_us / 1_000_000, UTC)


def _children(app: Pynenc, parent: InvocationId) -> list[dict[str, Any]]:
    state = app.backend.state_backend
    found = run(state.snapshots(run(state.children(parent))))
    return [
        {"invocation_id": id_text(each.call.invocation_id), "task_id": each.call.task_id, "status": status_of(each)}
        for each in found
        if each is not None
    ]


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "timestamp": entry.timestamp,
        "status": entry.status.value,
        "attempt": entry.attempt,
        "runner": entry.runner,
        "worker": entry.worker or None,
        "detail": entry.detail,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "ended_as": attempt.reason.name.lower(),
        "claimed_at": instant(attempt.claimed_at_us),
        "started_at": instant(attempt.started_at_us),
        "ended_at": instant(attempt.ended_at_us),
        "worker": attempt.worker or None,
        "detail": attempt.detail,
    }


# --- values of users ------------------------------------------------------------------------------------


def _arguments(app: Pynenc, snapshot: Snapshot) -> str:
    from pynenc.logs.arguments import render_arguments

    mode = app.conf.argument_print_mode if app.conf.print_arguments else ArgumentPrintMode.HIDDEN
    mode = ArgumentPrintMode.FULL if mode is ArgumentPrintMode.TRUNCATED else mode
    return _shown(lambda: render_arguments(_named_arguments(app, snapshot), mode, 0)) or ""


def _named_arguments(app: Pynenc, snapshot: Snapshot) -> dict[str, Any]:
    return dict(app.get_invocation(id_text(snapshot.call.invocation_id)).arguments.kwargs)


def _result(app: Pynenc, snapshot: Snapshot) -> str | None:
    """Return the result, unless the app hides the arguments of its calls: then it hides what came of them too."""
    outcome = snapshot.outcome
    if outcome is None or outcome.status is not InvocationStatus.SUCCESS:
        return None
    if not app.conf.print_arguments or app.conf.argument_print_mode not in _SHOWN_MODES:
        return "<hidden>"
    return _shown(lambda: repr(run(app.payloads.decode_value(outcome.payload))))


def _error(app: Pynenc, snapshot: Snapshot) -> str | None:
    outcome = snapshot.outcome
    if outcome is None or outcome.status is InvocationStatus.SUCCESS:
        return None
    if not outcome.payload:
        return outcome.reason or None
    return _shown(lambda: _text_of(run(app.payloads.decode_error(outcome.payload))))


def _text_of(error: BaseException) -> str:
    return str(error.__cause__ or f"{type(error).__name__}: {error}").strip()


def _shown(render: Callable[[], str]) -> str:
    """Return the rendered value, or why it cannot be had: code that is not here must not hide all the rest."""
    try:
        return render()
    except Exception as error:  # noqa: BLE001 - decoding runs code of users
        return f"<cannot be shown: {type(error).__name__}: {error}>"
