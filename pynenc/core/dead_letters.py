"""Work that ended dead: look at it, run it again, or forget it; any number of it a page at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from pynenc.errors import InvocationNotFound, InvocationStatusError
from pynenc.invocation.base import Timeout, seconds
from pynenc.io import Op, run
from pynenc.model.ids import InvocationId, id_text, parse_id
from pynenc.model.records import DeadFilter, Snapshot
from pynenc.model.status import DEAD_STATUSES, InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.invocation import DistributedInvocation

_PAGE = 500
_FAILED = DeadFilter(budget=_PAGE)


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One invocation that ended dead."""

    invocation_id: str
    task_id: str
    queue: str
    status: InvocationStatus
    reason: str
    """Why: type and text of the error, or what the store says."""
    attempts: int
    crashes: int
    ended_at: datetime
    snapshot: Snapshot


class DeadLetters:
    """Dead letters, newest ending first: those that failed, or what a call of this object chooses.

    Nothing is read before it is asked for. Operations on all of them go through pages: memory and requests are bounded,
    however many there are; what ends dead after such an operation began is left alone.
    """

    def __init__(self, app: Pynenc, wanted: DeadFilter = _FAILED, reason: str | None = None) -> None:
        self._app = app
        self._wanted = wanted
        self._reason = None if reason is None else reason.casefold()

    def __call__(
        self,
        *,
        queue: str | None = None,
        task_id: str | None = None,
        reason: str | None = None,
        statuses: Iterable[InvocationStatus | str] = (InvocationStatus.FAILED,),
        older_than: Timeout = None,
        newer_than: Timeout = None,
    ) -> DeadLetters:
        """Return some of them.

        Args:
            reason: only those whose error or reason contains this text, in any case.
            statuses: `FAILED` alone unless given; also `EXPIRED`, `CONCURRENCY_CONTROLLED_FINAL`.
            older_than: only those that ended so long ago or longer; seconds or a timedelta.

        Raises:
            ValueError: a status is none that dead letters have.
        """
        chosen = tuple(map(InvocationStatus, statuses))
        for status in chosen:
            if status not in DEAD_STATUSES:
                names = ", ".join(each.name for each in DEAD_STATUSES)
                raise ValueError(f"what ended {status.name} is no dead letter; their statuses are {names}")
        wanted = DeadFilter(
            statuses=chosen,
            queue=queue,
            task_id=task_id,
            ended_before_us=_ago_us(older_than),
            ended_since_us=_ago_us(newer_than),
            budget=_PAGE,
        )
        return DeadLetters(self._app, wanted, reason)

    def __iter__(self) -> Iterator[DeadLetter]:
        pages = self._pages()
        while (page := run(pages.next())) is not None:
            yield from page

    def count(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    def get(self, invocation_id: str) -> DeadLetter:
        """Return one dead letter.

        Raises:
            InvocationNotFound: nobody knows the id.
            InvocationStatusError: it is no dead letter.
        """
        snapshot = run(self._app.backend.state_backend.snapshots([parse_id(invocation_id)]))[0]
        if snapshot is None:
            raise InvocationNotFound(f"no invocation has the id {invocation_id}, or it was purged")
        return run(letter_of(self._app, snapshot))

    def resubmit(
        self, letter: DeadLetter | str, /, *, keep_old: bool = False, **changes: Any
    ) -> DistributedInvocation[..., Any]:
        """Submit the call of a dead letter again with other arguments, as a new invocation below the old one.

        The old one is forgotten once the new one is stored, unless `keep_old`. Repeating the same changes submits
        nothing more.

        Args:
            changes: arguments by name, instead of those of the old call.
        """
        found = self.get(letter) if isinstance(letter, str) else letter
        return run(_resubmit(self._app, found, changes, keep=keep_old))

    def requeue(self) -> int:
        """Run all of them again; return how many."""
        return run(self._with_each_page(self._requeue))

    def discard(self) -> int:
        """Forget all of them; return how many."""
        return run(self._with_each_page(self._app.backend.state_backend.purge))

    def _requeue(self, ids: Sequence[InvocationId]) -> Op[int]:
        return (yield from _counted(self._app.control.requeue(ids)))

    def _with_each_page(self, act: Callable[[Sequence[InvocationId]], Op[int]]) -> Op[int]:
        pages, number = self._pages(), 0
        while (page := (yield from pages.next())) is not None:
            if page:
                number += yield from act([each.snapshot.call.invocation_id for each in page])
        return number

    def _pages(self) -> _Pages:
        # From now on, so that what is requeued and dies again meanwhile is not met again.
        before_us = self._wanted.ended_before_us or time.time_ns() // 1_000 + 1
        return _Pages(self._app, msgspec.structs.replace(self._wanted, ended_before_us=before_us), self._reason)


class _Pages:
    """Goes from page to page."""

    def __init__(self, app: Pynenc, wanted: DeadFilter, reason: str | None) -> None:
        self._app = app
        self._wanted: DeadFilter | None = wanted
        self._reason = reason

    def next(self) -> Op[list[DeadLetter] | None]:
        """Return what matches of the next page; None behind the last one."""
        if self._wanted is None:
            return None
        page = yield from self._app.backend.state_backend.dead(self._wanted)
        self._wanted = msgspec.structs.replace(self._wanted, before=page.before) if page.before else None
        letters: list[DeadLetter] = []
        for each in page.found:
            letter = yield from letter_of(self._app, each)
            if self._reason is None or self._reason in letter.reason.casefold():
                letters.append(letter)
        return letters


def _counted(requeued: Op[list[InvocationId]]) -> Op[int]:
    return len((yield from requeued))


def _ago_us(age: Timeout) -> int | None:
    ago_s = seconds(age)
    return None if ago_s is None else max(0, time.time_ns() // 1_000 - round(ago_s * 1_000_000))


def letter_of(app: Pynenc, snapshot: Snapshot) -> Op[DeadLetter]:
    """Return an ended invocation as a dead letter.

    Raises:
        InvocationStatusError: it has not ended, or did not end dead.
    """
    call, outcome = snapshot.call, snapshot.outcome
    if outcome is None or outcome.status in (InvocationStatus.SUCCESS, InvocationStatus.CANCELLED):
        how = "has not ended" if outcome is None else f"ended {outcome.status.value.upper()}"
        raise InvocationStatusError(f"invocation {id_text(call.invocation_id)} is no dead letter: it {how}")
    reason = outcome.reason
    if outcome.payload:
        try:
            error = yield from app.payloads.decode_error(outcome.payload)
            reason = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - decoding runs code of users
            reason = f"<cannot be shown: {type(error).__name__}: {error}>"
    return DeadLetter(
        invocation_id=id_text(call.invocation_id),
        task_id=call.task_id,
        queue=call.queue,
        status=outcome.status,
        reason=reason,
        attempts=outcome.attempt,
        crashes=outcome.crashes,
        ended_at=datetime.fromtimestamp(outcome.ended_at_us / 1_000_000, UTC),
        snapshot=snapshot,
    )


def _resubmit(
    app: Pynenc, letter: DeadLetter, changes: dict[str, Any], *, keep: bool
) -> Op[DistributedInvocation[..., Any]]:
    from pynenc.context import decoding_app
    from pynenc.invocation.distributed import DistributedInvocation

    task, old = app.get_task(letter.task_id), letter.snapshot
    assert old.outcome is not None
    token = decoding_app.set(app)
    try:
        args, kwargs = yield from task.payloads.decode_arguments(old.call.arguments)
    finally:
        decoding_app.reset(token)
    prepared = task.options(queue=letter.queue).prepare(*task.changed_arguments(args, kwargs, changes))
    reply = yield from app.submitter.resubmit(prepared, instead_of=old.call.invocation_id, epoch=old.outcome.epoch)
    if not keep:
        yield from app.backend.state_backend.purge([old.call.invocation_id])
    return DistributedInvocation(task, reply.invocation_id, sealed=prepared.sealed)
