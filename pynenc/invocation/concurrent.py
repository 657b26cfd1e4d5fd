"""Invocations that ran where they were called: `dev_mode_force_sync_tasks`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pynenc.errors import Cancel, InvocationCancelled, RetryError
from pynenc.invocation.base import BaseInvocation, P, R, Timeout
from pynenc.invocation.history import HistoryEntry, Progress
from pynenc.io import run
from pynenc.model.ids import id_text, new_invocation_id
from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.call import Arguments
    from pynenc.task import Task


class ConcurrentInvocation(BaseInvocation[P, R]):
    """A finished call. Its arguments and its result went through the serializer, as on a real store."""

    def __init__(self, task: Task[P, R], arguments: Arguments) -> None:
        self.task = task
        self._key = new_invocation_id()
        self._arguments = arguments
        self._attempts = 0
        self._value: Any = None
        self._error: BaseException | None = None
        self._history: list[HistoryEntry] = []
        self._note(InvocationStatus.REGISTERED)

    @property
    def invocation_id(self) -> str:
        return id_text(self._key)

    @classmethod
    def run_now(cls, task: Task[P, R], arguments: Arguments) -> ConcurrentInvocation[P, R]:
        """Run the body in the calling thread, retries included (without their delays)."""
        invocation = cls(task, arguments)
        args, kwargs = invocation._passed_on()
        while invocation._begin():
            try:
                value = task.func(*args, **kwargs)
                if task.is_async:
                    value = _complete(value)
                invocation._succeed(value)
            except Exception as error:  # noqa: BLE001 - user code: kept for whoever reads the result
                invocation._fail(error)
        return invocation

    @classmethod
    async def arun_now(cls, task: Task[P, R], arguments: Arguments) -> ConcurrentInvocation[P, R]:
        """`run_now` on the running event loop."""
        invocation = cls(task, arguments)
        args, kwargs = invocation._passed_on()
        function: Callable[..., Any] = task.func
        while invocation._begin():
            try:
                value = function(*args, **kwargs)
                invocation._succeed(await value if isinstance(value, Awaitable) else value)
            except Exception as error:  # noqa: BLE001 - user code: kept for whoever reads the result
                invocation._fail(error)
        return invocation

    # --- running ---

    def _passed_on(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        prepared = self.task.prepare(self._arguments.args, self._arguments.keywords)
        return run(self.task.payloads.decode_arguments(prepared.sealed))

    def _begin(self) -> bool:
        if self._history[-1].status.is_final():
            return False
        self._attempts += 1
        self._note(InvocationStatus.RUNNING)
        return True

    def _succeed(self, value: Any) -> None:
        payloads = self.task.payloads
        self._value = run(payloads.decode_value(run(payloads.encode_value(value))))
        self._note(InvocationStatus.SUCCESS)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Cancel):
            self._error = InvocationCancelled(
                str(error) or "cancelled by its own body", invocation_id=self.invocation_id
            )
            self._note(InvocationStatus.CANCELLED)
        elif isinstance(error, (RetryError, *self.task.retry_for)) and self._attempts <= self.task.conf.max_retries:
            self._note(InvocationStatus.RETRY)
        else:
            self._error = error
            self._note(InvocationStatus.FAILED)

    def _note(self, status: InvocationStatus) -> None:
        self._history.append(
            HistoryEntry(status=status, timestamp=datetime.now(UTC), attempt=self._attempts, runner=None, worker=0)
        )

    # --- what is known of it ---

    @property
    def status(self) -> InvocationStatus:
        return self._history[-1].status

    def get(self, timeout: Timeout = None) -> R:
        if self._error is not None:
            raise self._error
        value: R = self._value
        return value

    async def async_result(self, timeout: Timeout = None) -> R:
        return self.get()

    def wait(self, timeout: Timeout = None) -> bool:
        return True

    @property
    def num_retries(self) -> int:
        return self._attempts - 1

    @property
    def arguments(self) -> Arguments:
        return self._arguments

    def cancel(self, *, tree: bool = False, reason: str = "") -> bool:
        return False

    @property
    def history(self) -> list[HistoryEntry]:
        return list(self._history)

    @property
    def children(self) -> list[BaseInvocation[..., Any]]:
        return []

    @property
    def progress(self) -> Progress | None:
        return None

    def why(self) -> str:
        ended = self.status.value.upper()
        return f"{self.task.task_id} {self.invocation_id} ended {ended} in the process that called it."


def _complete(coroutine: Any) -> Any:
    """Run a coroutine to its end, also from a thread whose event loop is running."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
