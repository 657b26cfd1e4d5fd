"""Which run the current code belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pynenc.model.ids import InvocationId, child_invocation_id, id_text
from pynenc.model.records import Claim, Fence

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.invocation import DistributedInvocation
    from pynenc.logs.context import LogContext
    from pynenc.ports.run_link import RunLink
    from pynenc.ports.transaction import Transaction
    from pynenc.task import Task


class RunContext:
    """One attempt of one invocation, seen from inside its body. Made for every body: what few ask for is made then."""

    __slots__ = ("_invocation", "_log_context", "_occurrences", "app", "claim", "link", "task")

    def __init__(self, app: Pynenc, task: Task[..., Any], claim: Claim, link: RunLink) -> None:
        self.app = app
        self.task = task
        self.claim = claim
        self.link = link
        self._invocation: DistributedInvocation[..., Any] | None = None
        self._log_context: LogContext | None = None
        self._occurrences: dict[bytes, int] = {}

    @property
    def invocation(self) -> DistributedInvocation[..., Any]:
        """The invocation that runs."""
        if self._invocation is None:
            from pynenc.invocation.distributed import DistributedInvocation

            self._invocation = DistributedInvocation(self.task, self.claim.invocation_id, attempt=self.claim.attempt)
        return self._invocation

    @property
    def log_context(self) -> LogContext:
        """What log records of the body carry."""
        if self._log_context is None:
            from pynenc.logs.context import LogContext

            self._log_context = LogContext(
                invocation_id=id_text(self.claim.invocation_id),
                task_id=self.claim.task_id,
                attempt=self.claim.attempt,
                runner=self.link.runner_name,
                worker=self.link.worker,
            )
        return self._log_context

    @property
    def fence(self) -> Fence:
        """Proof of ownership for what the body submits."""
        return Fence(self.claim.session, self.claim.invocation_id, self.claim.epoch)

    def child_id(self, call_key: bytes) -> InvocationId:
        """Return the id of the next submission of this call: the same one when the attempt runs again."""
        occurrence = self._occurrences.get(call_key, 0)
        self._occurrences[call_key] = occurrence + 1
        return child_invocation_id(self.claim.invocation_id, self.claim.attempt, call_key, occurrence)


current_run: ContextVar[RunContext | None] = ContextVar("pynenc_current_run", default=None)
"""The run the current thread or coroutine executes; None outside of tasks."""

current_transaction: ContextVar[tuple[Pynenc, Transaction] | None] = ContextVar("pynenc_transaction", default=None)
"""The user's transaction that submissions of this app take part in."""

decoding_app: ContextVar[Pynenc | None] = ContextVar("pynenc_decoding_app", default=None)
"""The app on whose behalf values are being decoded: invocations among them belong to it."""


def current_invocation() -> DistributedInvocation[..., Any]:
    """Return the invocation whose body is running.

    Raises:
        RuntimeError: called outside a task.
    """
    context = current_run.get()
    if context is None:
        raise RuntimeError("current_invocation() is only available inside a running task")
    return context.invocation
