"""Blocking read access under the published names: `app.orchestrator`, `app.state_backend`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pynenc.core.outcomes import error_of, value_of
from pynenc.errors import InvocationNotFound, InvocationStatusError
from pynenc.io import run
from pynenc.model.ids import id_text, parse_id
from pynenc.model.records import ListFilter, Outcome, QueueStats, SessionRow
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.invocation import BaseInvocation, DistributedInvocation, HistoryEntry
    from pynenc.task import Task

_PAGE = 500


class OrchestratorView:
    """What users ask of the orchestrator."""

    def __init__(self, app: Pynenc) -> None:
        self._app = app

    def count_invocations(self, task_id: str | None = None, statuses: Sequence[InvocationStatus] | None = None) -> int:
        """Count invocations, of one task and in some statuses if given."""
        state = self._app.backend.state_backend
        return run(state.count(task_id=task_id, statuses=tuple(statuses or ())))

    def get_invocation_status(self, invocation_id: str) -> InvocationStatus:
        """Return the status of an invocation.

        Raises:
            InvocationNotFound: nobody knows the id.
        """
        status = run(self._app.backend.state_backend.statuses([parse_id(invocation_id)]))[0]
        if status is None:
            raise InvocationNotFound(f"no invocation has the id {invocation_id}, or it was purged")
        return status

    def get_invocation_retries(self, invocation_id: str) -> int:
        """Return how many attempts failed and were tried again."""
        return self._app.get_invocation(invocation_id).num_retries

    def get_existing_invocations(
        self, task: Task[..., Any], statuses: Sequence[InvocationStatus] | None = None
    ) -> Iterator[str]:
        """Yield the ids of a task's invocations, newest first."""
        return self._ids(task.task_id, tuple(statuses or ()))

    def get_task_invocation_ids(self, task_id: str) -> Iterator[str]:
        """Yield the ids of a task's invocations, newest first."""
        return self._ids(task_id, ())

    def filter_by_status(self, invocation_ids: Sequence[str], statuses: Sequence[InvocationStatus]) -> list[str]:
        """Return those of `invocation_ids` that are in one of `statuses`."""
        found = run(self._app.backend.state_backend.statuses([parse_id(text) for text in invocation_ids]))
        return [text for text, status in zip(invocation_ids, found, strict=True) if status in statuses]

    def filter_final(self, invocation_ids: Sequence[str]) -> list[str]:
        """Return those of `invocation_ids` that have ended."""
        return self.filter_by_status(invocation_ids, [status for status in InvocationStatus if status.is_final()])

    def queue_stats(self) -> list[QueueStats]:
        """Return depth and age of every queue."""
        return run(self._app.control.queue_stats())

    def sessions(self, *, live_only: bool = True) -> list[SessionRow]:
        """Return the processes that take part."""
        return run(self._app.control.list_sessions(live_only=live_only))

    def purge(self) -> None:
        """Forget every invocation."""
        self._app.purge()

    def _ids(self, task_id: str, statuses: tuple[InvocationStatus, ...]) -> Iterator[str]:
        before = None
        while True:
            wanted = ListFilter(task_id=task_id, statuses=statuses, before=before, limit=_PAGE)
            page = run(self._app.backend.state_backend.listing(wanted))
            for snapshot in page:
                yield id_text(snapshot.call.invocation_id)
            if len(page) < _PAGE:
                return
            before = page[-1].call.invocation_id


class StateView:
    """What users ask of the state backend."""

    def __init__(self, app: Pynenc) -> None:
        self._app = app

    def get_invocation(self, invocation_id: str) -> DistributedInvocation[..., Any]:
        """Return the handle of an invocation."""
        return self._app.get_invocation(invocation_id)

    def get_result(self, invocation_id: str) -> Any:
        """Return the stored result of an invocation that succeeded; does not wait.

        Raises:
            InvocationStatusError: it has not ended.
        """
        task, outcome = self._ended(invocation_id)
        return run(value_of(task, outcome))

    def get_exception(self, invocation_id: str) -> BaseException:
        """Return the stored error of an invocation that failed; does not wait.

        Raises:
            InvocationStatusError: it has not ended, or it succeeded.
        """
        task, outcome = self._ended(invocation_id)
        if outcome.status is InvocationStatus.SUCCESS:
            raise InvocationStatusError(f"invocation {invocation_id} succeeded: it has no exception")
        return run(error_of(task, outcome))

    def get_history(self, invocation_id: str) -> list[HistoryEntry]:
        """Return every status an invocation went through."""
        return self._app.get_invocation(invocation_id).history

    def get_child_invocations(self, invocation_id: str) -> Iterator[BaseInvocation[..., Any]]:
        """Yield what an invocation's runs submitted."""
        yield from self._app.get_invocation(invocation_id).children

    def purge(self) -> None:
        """Forget every invocation."""
        self._app.purge()

    def _ended(self, invocation_id: str) -> tuple[Task[..., Any], Outcome]:
        snapshot = self._app.get_invocation(invocation_id).snapshot()
        if snapshot.outcome is None:
            raise InvocationStatusError(f"invocation {invocation_id} has not ended: it has no outcome yet")
        return self._app.get_task(snapshot.call.task_id), snapshot.outcome
