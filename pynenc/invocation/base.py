"""What all kinds of invocations and groups have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from pynenc.model.status import InvocationStatus

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.call import Arguments, Call
    from pynenc.core.group_progress import GroupProgress
    from pynenc.invocation.history import HistoryEntry, Progress
    from pynenc.task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Timeout = float | timedelta | None
"""Seconds or a timedelta; None waits for ever."""


class BaseInvocation(ABC, Generic[P, R]):
    """One call of a task, wherever it runs."""

    task: Task[P, R]

    @property
    @abstractmethod
    def invocation_id(self) -> str:
        """Its identity: a UUID as text."""

    @property
    def app(self) -> Pynenc:
        return self.task.app

    @property
    @abstractmethod
    def status(self) -> InvocationStatus:
        """Where it stands now."""

    @property
    def result(self) -> R:
        """Wait for the end and return what the task returned.

        Raises:
            Exception: what the task raised, with the remote traceback as its cause.
            InvocationError: it ended without a result: cancelled, expired, or lost to crashes.
        """
        return self.get()

    @abstractmethod
    def get(self, timeout: Timeout = None) -> R:
        """`result`, waiting no longer than `timeout` seconds.

        Raises:
            ResultTimeout: it has not ended by then; it goes on all the same.
        """

    @abstractmethod
    async def async_result(self, timeout: Timeout = None) -> R:
        """`get` without blocking the running event loop."""

    async def aresult(self, timeout: Timeout = None) -> R:
        return await self.async_result(timeout)

    def __await__(self) -> Generator[Any, None, R]:
        return self.async_result().__await__()

    @abstractmethod
    def wait(self, timeout: Timeout = None) -> bool:
        """Wait for the end, however it ends; return whether it came within `timeout` seconds."""

    @property
    @abstractmethod
    def num_retries(self) -> int:
        """How many attempts failed and were tried again."""

    @property
    @abstractmethod
    def arguments(self) -> Arguments:
        """The arguments it was called with."""

    @property
    def call(self) -> Call[P, R]:
        from pynenc.call import Call

        return Call(self.task, self.arguments)

    @property
    def workflow(self) -> Any:
        from pynenc.errors import NotYetAvailable

        raise NotYetAvailable("invocation.workflow (workflows)")

    def then(self, task: Task[..., T], /, *args: Any, **kwargs: Any) -> BaseInvocation[..., T]:
        """Submit a call of `task` that goes on with the result: it comes first, then `args`. Does not wait.

        If this invocation does not succeed, the call ends as `task.after` says: by default it is cancelled.
        """
        from pynenc.core.chaining import then

        return then(self.app, self, task, args, kwargs)

    async def athen(self, task: Task[..., T], /, *args: Any, **kwargs: Any) -> BaseInvocation[..., T]:
        """`then` without blocking the running event loop."""
        from pynenc.core.chaining import athen

        return await athen(self.app, self, task, args, kwargs)

    @abstractmethod
    def cancel(self, *, tree: bool = False, reason: str = "") -> bool:
        """Ask it to end; with `tree` also what it submitted. Return whether it had not ended before."""

    @property
    @abstractmethod
    def history(self) -> list[HistoryEntry]:
        """Every status it went through, oldest first."""

    @property
    @abstractmethod
    def children(self) -> list[BaseInvocation[..., Any]]:
        """What its runs submitted."""

    @property
    @abstractmethod
    def progress(self) -> Progress | None:
        """The last progress its body reported."""

    @abstractmethod
    def why(self) -> str:
        """Say in one sentence why it is not running, or what it does."""

    def __hash__(self) -> int:
        return hash(self.invocation_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseInvocation) and self.invocation_id == other.invocation_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.task.task_id}, {self.invocation_id})"


class BaseInvocationGroup(ABC, Generic[P, R]):
    """Several invocations that were submitted together."""

    def __init__(self, task: Task[P, R], invocations: Sequence[BaseInvocation[P, R]]) -> None:
        self.task = task
        self.invocations = list(invocations)

    @property
    def invocation_map(self) -> dict[str, BaseInvocation[P, R]]:
        return {invocation.invocation_id: invocation for invocation in self.invocations}

    @property
    def app(self) -> Pynenc:
        return self.task.app

    def __iter__(self) -> Iterator[BaseInvocation[P, R]]:
        return iter(self.invocations)

    def __len__(self) -> int:
        return len(self.invocations)

    @property
    @abstractmethod
    def results(self) -> Iterator[R]:
        """Yield each result as its invocation ends; raises what the first failed one raised."""

    @abstractmethod
    def async_results(self) -> AsyncIterator[R]:
        """`results` without blocking the running event loop."""

    @abstractmethod
    def wait(self, timeout: Timeout = None) -> bool:
        """Wait until all have ended, however; return whether that came within `timeout` seconds."""

    @abstractmethod
    def progress(self) -> GroupProgress:
        """Count how many have ended and how, right now."""

    def then(self, task: Task[..., T], /, *args: Any, **kwargs: Any) -> BaseInvocation[..., T]:
        """Submit a call of `task` that goes on with the list of results, in the order of the group. Does not wait.

        If one of them does not succeed, the call ends as `task.after` says: by default it is cancelled.
        """
        from pynenc.core.chaining import then

        return then(self.app, self, task, args, kwargs)

    async def athen(self, task: Task[..., T], /, *args: Any, **kwargs: Any) -> BaseInvocation[..., T]:
        """`then` without blocking the running event loop."""
        from pynenc.core.chaining import athen

        return await athen(self.app, self, task, args, kwargs)

    @abstractmethod
    def cancel(self, *, tree: bool = False, reason: str = "") -> int:
        """Cancel those that have not ended; return how many that were."""


def seconds(timeout: Timeout) -> float | None:
    """Return a timeout in seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
