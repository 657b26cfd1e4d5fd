"""Running the body of one claimed invocation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from pynenc.model.records import Claim, Completion
from pynenc.ports.run_link import RunLink
from pynenc.ports.stopping import Seen, StopReason


class AttemptExecution(Protocol):
    """Turns a claim into a completion. Whatever user code does ends as a completion, never as an exception."""

    @abstractmethod
    def is_async(self, claim: Claim) -> bool:
        """Whether the body is a coroutine function; False if this process does not know the task."""

    @abstractmethod
    def run(self, claim: Claim, link: RunLink) -> Completion:
        """Run the body in the calling thread; an asynchronous one gets an event loop of its own there."""

    @abstractmethod
    async def arun(self, claim: Claim, link: RunLink) -> Completion:
        """Run an asynchronous body on the running loop.

        Raises:
            asyncio.CancelledError: the executor cancelled the run for a reason of its own (not a request to
                cancel the invocation); it decides what follows.
        """

    @abstractmethod
    def stopped(self, claim: Claim, why: StopReason, seen: Seen) -> Completion:
        """Return what follows an attempt that exceeded a limit: a `Retry` or a `Failure` with an error of its own type.

        Args:
            why: which limit; not `CANCEL`.
            seen: for people, and as attributes of the error.
        """
