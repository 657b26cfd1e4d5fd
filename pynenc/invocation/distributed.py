"""Invocations that run somewhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynenc.core.outcomes import result_of, value_of
from pynenc.core.waiting import await_each, wait_each
from pynenc.errors import InvocationNotFound, ResultTimeout
from pynenc.invocation.base import BaseInvocation, P, R, Timeout, seconds
from pynenc.invocation.history import HistoryEntry
from pynenc.io import arun, run
from pynenc.model.ids import InvocationId, id_text, parse_id
from pynenc.model.records import CancelVerdict, Outcome, Snapshot
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.call import Arguments
    from pynenc.task import Task


class DistributedInvocation(BaseInvocation[P, R]):
    """An invocation in the store of its app. A light handle: two of the same id are equal."""

    def __init__(
        self,
        task: Task[P, R],
        key: InvocationId,
        *,
        sealed: bytes | None = None,
        attempt: int | None = None,
    ) -> None:
        """
        Args:
            key: the id as bytes.
            sealed: its encoded arguments, if at hand.
            attempt: the attempt whose body is running, for the handle a body sees.
        """
        self.task = task
        self.key = key
        self._sealed = sealed
        self._attempt = attempt
        self._outcome: Outcome | None = None

    @property
    def invocation_id(self) -> str:
        return id_text(self.key)

    # --- waiting ---

    def get(self, timeout: Timeout = None) -> R:
        value: R = result_of(self.task, self._wait_for_outcome(timeout))
        return value

    async def async_result(self, timeout: Timeout = None) -> R:
        if self._outcome is None:
            async for outcome in await_each(self.app, [self.key], seconds(timeout)):
                self._outcome = outcome
        if self._outcome is None:
            raise self._timed_out(timeout)
        return await arun(value_of(self.task, self._outcome))

    def wait(self, timeout: Timeout = None) -> bool:
        try:
            self._wait_for_outcome(timeout)
        except ResultTimeout:
            return False
        return True

    def _wait_for_outcome(self, timeout: Timeout) -> Outcome:
        if self._outcome is None:
            for outcome in wait_each(self.app, [self.key], seconds(timeout)):
                self._outcome = outcome
        if self._outcome is None:
            raise self._timed_out(timeout)
        return self._outcome

    def _timed_out(self, timeout: Timeout) -> ResultTimeout:
        return ResultTimeout(
            f"{self.task.task_id} {self.invocation_id} has not ended within {seconds(timeout)} s; it goes on "
            "(its why() says what it waits for)",
            invocation_id=self.invocation_id,
        )

    # --- what is known of it ---

    @property
    def status(self) -> InvocationStatus:
        if self._outcome is not None:
            return self._outcome.status
        status = run(self.app.backend.state_backend.statuses([self.key]))[0]
        if status is None:
            raise self._unknown()
        return status

    @property
    def num_retries(self) -> int:
        if self._attempt is not None:
            return self._attempt - 1
        snapshot = self.snapshot()
        record = snapshot.outcome or snapshot.control
        return max(0, record.attempt - 1) if record else 0

    @property
    def arguments(self) -> Arguments:
        sealed = self._sealed
        if sealed is None:
            sealed = self._sealed = self.snapshot().call.arguments
        args, kwargs = run(self.task.payloads.decode_arguments(sealed))
        return self.task.args(*args, **kwargs)

    @property
    def history(self) -> list[HistoryEntry]:
        from pynenc.core.history import derive_history

        return run(derive_history(self.app.backend, self.snapshot()))

    @property
    def children(self) -> list[BaseInvocation[..., Any]]:
        ids = run(self.app.backend.state_backend.children(self.key))
        return [self.app.get_invocation(id_text(child)) for child in ids]

    @property
    def progress(self) -> Any:
        from pynenc.core.progress import ProgressReporter, read_progress

        if self._attempt is not None:
            return ProgressReporter()
        return read_progress(self.snapshot().progress)

    def heartbeat(self, details: Any = None) -> None:
        """From inside the body: tell that it is alive and, if given, where it stands."""
        from pynenc.core.progress import ProgressReporter

        ProgressReporter().heartbeat(details)

    def why(self) -> str:
        from pynenc.core.why import explain

        return run(explain(self.app.backend, self.key))

    def snapshot(self) -> Snapshot:
        """Return all that the store knows of it.

        Raises:
            InvocationNotFound: it was purged.
        """
        snapshot = run(self.app.backend.state_backend.snapshots([self.key]))[0]
        if snapshot is None:
            raise self._unknown()
        return snapshot

    def _unknown(self) -> InvocationNotFound:
        return InvocationNotFound(f"no invocation has the id {self.invocation_id}, or it was purged")

    # --- steering ---

    def cancel(self, *, tree: bool = False, reason: str = "") -> bool:
        replies = run(self.app.control.cancel([self.key], tree=tree, detail=reason or "cancelled by a client"))
        if replies[0].verdict is CancelVerdict.UNKNOWN:
            raise self._unknown()
        return replies[0].verdict is not CancelVerdict.FINAL

    # --- as an argument of other calls ---

    def to_json(self) -> Any:
        """Return what stands for it in stored arguments: its id."""
        return {"invocation_id": self.invocation_id, "task_id": self.task.task_id}

    @classmethod
    def from_json(cls, data: Any) -> DistributedInvocation[..., Any]:
        """Return the handle of the app on whose behalf values are being decoded."""
        from pynenc.context import decoding_app

        app = decoding_app.get()
        if app is None:
            raise TypeError("an invocation can only be decoded on behalf of an app")
        return DistributedInvocation(app.get_task(str(data["task_id"])), parse_id(str(data["invocation_id"])))


class ReusedInvocation(DistributedInvocation[P, R]):
    """A call that collapsed into an invocation that exists already: it has that one's id and arguments.

    Attributes:
        diff_arg: the arguments of the new call if they are not the existing one's, and were ignored; else None.
    """

    def __init__(self, task: Task[P, R], key: InvocationId, *, sealed: bytes | None = None) -> None:
        """
        Args:
            sealed: the encoded arguments of the new call.
        """
        super().__init__(task, key)
        self._called_with = sealed

    @property
    def diff_arg(self) -> Arguments | None:
        if self._called_with is None:
            return None
        mine = DistributedInvocation(self.task, self.key, sealed=self._called_with).arguments
        return None if mine == self.arguments else mine


def find_invocation(app: Pynenc, invocation_id: str) -> DistributedInvocation[..., Any]:
    """Return the handle of an invocation; see `Pynenc.get_invocation`."""
    key = parse_id(invocation_id)
    snapshot = run(app.backend.state_backend.snapshots([key]))[0]
    if snapshot is None:
        raise InvocationNotFound(f"no invocation has the id {invocation_id}, or it was purged")
    return DistributedInvocation(app.get_task(snapshot.call.task_id), key, sealed=snapshot.call.arguments)
