"""Cancelling whatever a filter matches, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynenc.io import Op
from pynenc.model.records import CancelVerdict, ListFilter
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_PAGE = 500
LIVE = tuple(status for status in InvocationStatus if not status.is_final())


def cancel_matching(
    app: Pynenc,
    *,
    task_id: str | None = None,
    queue: str | None = None,
    statuses: tuple[InvocationStatus, ...] = LIVE,
    tree: bool = False,
    detail: str = "",
) -> Op[int]:
    """Cancel what has not ended and matches; return how many were cancelled or asked to stop.

    What is submitted meanwhile is left alone. Memory is bounded, however many there are.
    """
    number, before = 0, None
    while True:
        wanted = ListFilter(task_id=task_id, queue=queue, statuses=statuses, before=before, limit=_PAGE)
        page = yield from app.backend.state_backend.listing(wanted)
        ids = [each.call.invocation_id for each in page]
        replies = yield from app.control.cancel(ids, tree=tree, detail=detail)
        number += sum(each.verdict in (CancelVerdict.CANCELLED, CancelVerdict.REQUESTED) for each in replies)
        if len(page) < _PAGE:
            return number
        before = ids[-1]
