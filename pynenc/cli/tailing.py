"""Following invocations as they change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pynenc.cli.views import progress_of, status_of
from pynenc.core.waiting import wait_each
from pynenc.errors import InvocationNotFound
from pynenc.io import run
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import ListFilter, Snapshot

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_RECENT = 200


def follow_one(app: Pynenc, invocation_id: InvocationId, interval_s: float) -> Iterator[dict[str, Any]]:
    """Yield each change of status or progress until the end. The end is pushed; what lies between is looked at."""
    told = None
    while True:
        snapshot = run(app.backend.state_backend.snapshots([invocation_id]))[0]
        if snapshot is None:
            raise InvocationNotFound(f"no invocation has the id {id_text(invocation_id)}, or it was purged")
        event = _event(snapshot)
        if event != told:
            told = event
            yield event
        if snapshot.outcome is not None:
            return
        for _ in wait_each(app, [invocation_id], interval_s):
            break


def follow_all(app: Pynenc, interval_s: float) -> Iterator[dict[str, Any]]:
    """Yield changes of the most recent invocations, for ever."""
    told: dict[str, dict[str, Any]] = {}
    while True:
        page = run(app.backend.state_backend.listing(ListFilter(limit=_RECENT)))
        current = {event["invocation_id"]: event for event in map(_event, reversed(page))}
        yield from (event for key, event in current.items() if told.get(key) != event)
        told = current
        time.sleep(interval_s)


def _event(snapshot: Snapshot) -> dict[str, Any]:
    progress = progress_of(snapshot)
    fraction = progress["fraction"] if progress else None
    return {
        "invocation_id": id_text(snapshot.call.invocation_id),
        "task_id": snapshot.call.task_id,
        "status": status_of(snapshot),
        "progress": None if fraction is None else f"{fraction:.0%}",
        "message": progress["message"] if progress else None,
        "reason": snapshot.outcome.reason if snapshot.outcome else None,
    }
