"""What a running body may ask of the runner that runs it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from pynenc.model.ids import InvocationId
from pynenc.model.waits import WaitReply as WaitReply
from pynenc.ports.stopping import StopReason


class RunLink(Protocol):
    """The line from a run to its runner. While a body waits on it, its slot serves others."""

    runner_name: str
    worker: int

    @abstractmethod
    def wait(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        """Suspend the run until `need` of `waits` are final (0: all); blocks the calling thread only.

        Raises:
            RunnerStopped: the run was superseded or its runner ends; the body should unwind.
        """

    @abstractmethod
    async def await_(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        """`wait` for a body that is a coroutine; blocks nothing but the coroutine."""

    @abstractmethod
    def report(self, body: bytes) -> None:
        """Pass on a progress note (latest wins). Never blocks."""

    @property
    @abstractmethod
    def stopping(self) -> StopReason | None:
        """Return why this run was asked to stop; None: it was not."""
