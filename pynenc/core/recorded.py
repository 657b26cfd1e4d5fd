"""What was recorded of work that ended, as a workload that can be played again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from pynenc.core.replaying import Work
from pynenc.errors import PynencError
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import ListFilter, Snapshot
from pynenc.model.status import InvocationStatus, Reason

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.config.task_options import TaskOptions

_PAGE = 500


class Recorded(Struct, frozen=True):
    """A workload, and how long each of it waited in truth, until its last attempt was claimed."""

    workload: list[Work]
    waited_us: list[int]
    at_once: int
    """The most of it that ran at the same time."""


def recorded_work(app: Pynenc, *, last: int, queues: Sequence[str] = ()) -> Op[Recorded]:
    """Read the newest invocations that ran to an end.

    Priorities and deadlines are those that the tasks have now; a task that this process does not have, has none.

    Args:
        last: most invocations to read.
        queues: only those of these queues; () for all.
    """
    found: list[Snapshot] = []
    before: InvocationId | None = None
    while len(found) < last:
        wanted = ListFilter(statuses=(InvocationStatus.SUCCESS, InvocationStatus.FAILED), before=before, limit=_PAGE)
        page = yield from app.backend.state_backend.listing(wanted)
        found += (each for each in page if _ran(each) and (not queues or each.call.queue in queues))
        if len(page) < _PAGE:
            break
        before = page[-1].call.invocation_id
    return _as_workload(app, found[:last])


def _ran(snapshot: Snapshot) -> bool:
    outcome = snapshot.outcome
    return outcome is not None and outcome.claimed_at_us is not None and outcome.started_at_us is not None


def _as_workload(app: Pynenc, found: list[Snapshot]) -> Recorded:
    found.sort(key=lambda each: (each.call.created_at_us, each.call.invocation_id))
    places = {each.call.invocation_id: place for place, each in enumerate(found)}
    known: dict[str, TaskOptions | None] = {}
    workload, waited, spans = [], [], []
    for place, each in enumerate(found):
        call, outcome = each.call, each.outcome
        assert outcome is not None
        assert outcome.claimed_at_us is not None
        assert outcome.started_at_us is not None
        if call.task_id not in known:
            known[call.task_id] = _options_of(app, call.task_id)
        options = known[call.task_id]
        parent = places.get(call.parent_id) if call.parent_id else None
        workload.append(
            Work(
                task_id=call.task_id,
                at_us=outcome.registered_at_us,
                ran_us=max(0, outcome.ended_at_us - outcome.started_at_us - _suspended_us(each)),
                queue=call.queue,
                priority=options.priority if options else 0.0,
                deadline_us=options.deadline_us(outcome.registered_at_us) if options and options.deadline else None,
                parent=parent if parent is not None and parent < place else None,
            )
        )
        waited.append(outcome.claimed_at_us - outcome.registered_at_us)
        spans.append((outcome.started_at_us, outcome.ended_at_us))
    return Recorded(workload, waited, _most_at_once(spans))


def _options_of(app: Pynenc, task_id: str) -> TaskOptions | None:
    try:
        return app.get_task(task_id).conf
    except PynencError:
        return None


def _suspended_us(snapshot: Snapshot) -> int:
    """Return for how long the last run held no slot, because it waited for others."""
    epoch = snapshot.outcome.epoch if snapshot.outcome else None
    return sum(
        attempt.ended_at_us - attempt.suspended_at_us
        for attempt in snapshot.attempts
        if attempt.reason is Reason.WAITED and attempt.epoch == epoch and attempt.suspended_at_us is not None
    )


def _most_at_once(spans: Iterable[tuple[int, int]]) -> int:
    running = most = 0
    for _, change in sorted(_changes(spans)):
        running += change
        most = max(most, running)
    return most


def _changes(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for began, ended in spans:
        yield began, 1
        yield ended, -1
