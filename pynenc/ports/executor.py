"""What carries out claimed work for a control loop: threads, worker processes, an event loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Cancelled, Claim, Completion, Outcome, ProgressNote, Suspend
from pynenc.ports.run_link import WaitReply
from pynenc.ports.stopping import StopReason as StopReason


class Finished(Struct, frozen=True):
    """A run ended; it is no business of the executor any more. Never carries a `Suspend`."""

    completion: Completion

    @classmethod
    def unbegun(cls, invocation_id: InvocationId, epoch: Epoch) -> Finished:
        """Return the end of a run that was cancelled before its body began."""
        detail = "cancelled before it started"
        return cls(Cancelled(invocation_id=invocation_id, epoch=epoch, detail=detail))


class Began(Struct, frozen=True):
    """A body is running. May be left out for those that end soon after they began."""

    invocation_id: InvocationId
    epoch: Epoch
    worker: int
    at_s: float
    """When it began, by the clock of the control loop."""
    thread: int = 0
    """The kernel's number of the thread it runs in, where somebody has to know."""


class WaitWanted(Struct, frozen=True):
    """A body waits; its slot is free for others until `Executor.resume` names it."""

    suspend: Suspend


class WatchWanted(Struct, frozen=True):
    """A coroutine awaits outcomes while others of its run may go on: each goes to `Executor.observe`."""

    invocation_id: InvocationId
    epoch: Epoch
    waits: tuple[InvocationId, ...]


class Noted(Struct, frozen=True):
    """A progress note; only the latest of a run matters."""

    note: ProgressNote


class Returned(Struct, frozen=True):
    """A claim comes back uncounted: it never started, or its worker ended and its body is not known to be at fault."""

    invocation_id: InvocationId
    epoch: Epoch
    detail: str = ""


class Lost(Struct, frozen=True):
    """The stack of a waiting run is gone (its worker died): it can only start from the beginning."""

    invocation_id: InvocationId
    epoch: Epoch
    detail: str


ExecutorEvent: TypeAlias = Finished | Began | WaitWanted | WatchWanted | Noted | Returned | Lost


class Resumption(Struct, frozen=True):
    """A waiting body goes on with `reply`."""

    invocation_id: InvocationId
    epoch: Epoch
    reply: WaitReply


class Observation(Struct, frozen=True):
    """Outcomes for a coroutine that asked with `WatchWanted`, and ids nobody knows."""

    invocation_id: InvocationId
    epoch: Epoch
    outcomes: tuple[Outcome, ...] = ()
    unknown: tuple[InvocationId, ...] = ()
    cycle: tuple[InvocationId, ...] = ()
    """Awaiting is refused: it would close this cycle."""


class Executor(Protocol):
    """Runs bodies beside a control loop, which calls it from one thread and never waits in it.

    Every claim given to `run` leads to exactly one `Finished`, `Returned` or `Lost` unless it is abandoned.
    Resumed bodies get a free slot before claims that have not started.
    """

    slots: int
    """How many bodies may run at a time, as things are; waiting ones do not count."""

    @property
    def most_slots(self) -> int:
        """How many may run at a time once it has grown as far as it may."""
        return self.slots

    @abstractmethod
    def start(self) -> None:
        """Bring up threads or processes. Called once, before anything else."""

    @abstractmethod
    def fileno(self) -> int:
        """Return a descriptor that is readable while events may be pending."""

    @abstractmethod
    def poll(self) -> Sequence[ExecutorEvent]:
        """Return what happened since the last call and do what is due (escalations, replacements)."""

    @abstractmethod
    def due_at_s(self) -> float | None:
        """Return when `poll` should be called even if nothing happens, by the loop's clock; None: never."""

    def is_up(self) -> bool:
        """Whether bodies could run: what they need has started. May be called from any thread."""
        return True

    @abstractmethod
    def spare(self) -> int:
        """Return how many more claims could start at once; negative: so many wait for a slot."""

    @abstractmethod
    def run(self, claims: Sequence[Claim]) -> None:
        """Run these as slots become free, in this order."""

    @abstractmethod
    def resume(self, resumptions: Sequence[Resumption]) -> None:
        """Let waiting bodies go on as slots become free. One that is unknown is passed over."""

    @abstractmethod
    def observe(self, observations: Sequence[Observation]) -> None:
        """Hand outcomes to coroutines that watch for them. One that is unknown is passed over."""

    @abstractmethod
    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        """Make a run end: ask its body first and, where that is possible, end it by force after `grace_s`.

        It ends with a `Finished` that suits the reason: `Cancelled`, or what `AttemptExecution.stopped`
        says; or with whatever its body did just before. A waiting run is told as well and unwinds.
        """

    @abstractmethod
    def abandon(self, runs: Iterable[tuple[InvocationId, Epoch]]) -> None:
        """Forget these runs: they were superseded. Bodies are told to stop; no event names them any more."""

    @abstractmethod
    def recall(self, *, older_than_s: float) -> int:
        """Give back claims that were not started within `older_than_s`, each as `Returned`, now or soon.

        Returns:
            How many are coming back at least.
        """

    @abstractmethod
    def close(self, grace_s: float) -> None:
        """End everything: bodies that still run after `grace_s` are killed where that is possible."""
