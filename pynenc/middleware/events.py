"""What hooks are told. Facts are read-only; `state` is the middleware's own, from a before hook to its after hook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.io import run
from pynenc.middleware.carriers import carrier_of
from pynenc.model.ids import Epoch, InvocationId, id_text
from pynenc.model.records import (
    Cancelled,
    Claim,
    Completion,
    Crash,
    Failure,
    Release,
    Retry,
    SubmitReply,
    SubmitVerdict,
    Success,
)
from pynenc.wire.carrier import Carrier

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.call import Arguments
    from pynenc.core.submitting import PreparedCall
    from pynenc.task import Task


class Ending(StrEnum):
    """What an attempt came to."""

    SUCCESS = "success"
    FAILED = "failed"
    """It failed, and that is final."""
    RETRY = "retry"
    """It failed, and another attempt follows."""
    CANCELLED = "cancelled"
    RELEASED = "released"
    """Handed back unfinished; the attempt does not count."""
    CRASHED = "crashed"
    """Its worker died. It runs again, or fails once it crashed too often."""
    STOPPED = "stopped"
    """Its runner stopped the coroutine (time was up, or the run is given up) and says itself what follows."""


_ENDINGS: dict[type, Ending] = {
    Success: Ending.SUCCESS,
    Failure: Ending.FAILED,
    Retry: Ending.RETRY,
    Cancelled: Ending.CANCELLED,
    Release: Ending.RELEASED,
    Crash: Ending.CRASHED,
}


def ending_of(completion: Completion) -> Ending | None:
    """Return what a completion means; None for a wait."""
    return _ENDINGS.get(type(completion))


class Event:
    """What all events have.

    Attributes:
        state: for the middleware alone; key it by `self`, or by something else that nobody else uses.
        error: in an after hook, what went wrong; None if nothing did.
    """

    def __init__(self) -> None:
        self._state: dict[Any, Any] | None = None
        self.error: BaseException | None = None

    @property
    def state(self) -> dict[Any, Any]:
        if self._state is None:
            self._state = {}
        return self._state


# --- submitting -----------------------------------------------------------------------------------------


class SubmittedCall:
    """One call on its way to the store."""

    __slots__ = ("_call", "_carrier", "_key", "_reused")

    def __init__(self, call: PreparedCall, key: InvocationId) -> None:
        self._call = call
        self._key = key
        self._carrier = Carrier()
        self._reused: bool | None = None

    @property
    def task(self) -> Task[..., Any]:
        return self._call.task

    @property
    def task_id(self) -> str:
        return self._call.task.task_id

    @property
    def queue(self) -> str:
        return self._call.task.options_in_force.queue

    @property
    def invocation_id(self) -> str:
        """The id it is submitted under; afterwards that of the invocation it stands for."""
        return id_text(self._key)

    @property
    def delay_s(self) -> float:
        """Seconds it is not to start before."""
        return self._call.task.delay_us / 1e6

    @property
    def comes_after(self) -> bool:
        """Whether it starts only after other invocations."""
        return bool(self._call.after)

    @property
    def arguments(self) -> Arguments:
        """The arguments, as the body will get them: decoded each time you ask."""
        args, kwargs = run(self.task.payloads.decode_arguments(self._call.sealed))
        return self.task.args(*args, **kwargs)

    @property
    def reused(self) -> bool | None:
        """In `after_submit`: whether an invocation that exists already stands for the call; None if it failed."""
        return self._reused

    @property
    def carried(self) -> Mapping[str, str]:
        """What travels with it so far."""
        return self._carrier.entries

    def carry(self, key: str, value: str) -> None:
        """Let a short text travel with it to every attempt. Later changes reach nobody.

        Raises:
            CarrierFull: it does not fit.
        """
        self._carrier.put(key, value)

    # --- for the submitter ---

    def encode_carrier(self) -> bytes:
        return self._carrier.encode()

    def answered(self, reply: SubmitReply) -> None:
        """Note what became of it: a stale parent, an unknown dependency, or other arguments are told by an error."""
        self._key = reply.invocation_id
        self._reused = reply.verdict in (SubmitVerdict.DEDUPED, SubmitVerdict.DEBOUNCED)


class SubmitEvent(Event):
    """Calls that are submitted in one atomic unit: one, or many (`parallelize`, `submit_many`)."""

    def __init__(self, app: Pynenc, calls: tuple[SubmittedCall, ...]) -> None:
        super().__init__()
        self.app = app
        self.calls = calls


class RelayedCall(Struct, frozen=True):
    """A call that a body in a worker process made."""

    task_id: str
    queue: str
    reused: bool


class RelayEvent(Event):
    """Submissions that a runner passed on for its worker processes, in `took_s` seconds."""

    def __init__(self, app_id: str, runner: str, calls: tuple[RelayedCall, ...], took_s: float) -> None:
        super().__init__()
        self.app_id = app_id
        self.runner = runner
        self.calls = calls
        self.took_s = took_s


# --- waiting --------------------------------------------------------------------------------------------


class WaitEvent(Event):
    """Somebody waits for invocations to end: a client, or a body."""

    def __init__(self, app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None) -> None:
        super().__init__()
        self._ids = ids
        self.app = app
        self.timeout_s = timeout_s
        self.arrived = 0
        """How many have ended and were handed to who waits."""

    @property
    def invocation_ids(self) -> list[str]:
        return [id_text(each) for each in self._ids]

    @property
    def count(self) -> int:
        """How many are awaited."""
        return len(self._ids)


# --- running --------------------------------------------------------------------------------------------


class ClaimedRun:
    """One attempt of an invocation, as its runner got it."""

    __slots__ = ("_carrier", "_claim")

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._carrier: Mapping[str, str] | None = None

    @property
    def task_id(self) -> str:
        return self._claim.task_id

    @property
    def invocation_id(self) -> str:
        return id_text(self._claim.invocation_id)

    @property
    def epoch(self) -> Epoch:
        """The number of its claim: grows with every claim of the invocation."""
        return self._claim.epoch

    @property
    def attempt(self) -> int:
        """1 for the first counted run."""
        return self._claim.attempt

    @property
    def crashes(self) -> int:
        """How many runs were lost to crashes before."""
        return self._claim.crashes

    @property
    def queue(self) -> str:
        return self._claim.queue

    @property
    def parent_id(self) -> str | None:
        """The invocation whose body submitted it."""
        parent = self._claim.parent_id
        return None if parent is None else id_text(parent)

    @property
    def carrier(self) -> Mapping[str, str]:
        """What travels with the invocation. Written by whoever could submit: trust none of it."""
        if self._carrier is None:
            self._carrier = carrier_of(self._claim.meta)
        return self._carrier


class RunEvent(Event, ClaimedRun):
    """An attempt where its body runs.

    Attributes:
        runner: name of the runner.
        worker: which of its workers: a process id, or the number of a thread.
        ending: in `after_run`, what the attempt came to; `error` says why.
        value: in `after_run`, what the body returned; None unless it did.
        decoded: positional and keyword arguments, once somebody decoded them.
    """

    def __init__(self, task: Task[..., Any], claim: Claim, *, runner: str, worker: int) -> None:
        Event.__init__(self)
        ClaimedRun.__init__(self, claim)
        self.app = task.app
        self.task = task
        self.runner = runner
        self.worker = worker
        self.ending: Ending | None = None
        self.decoded: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.value: Any = None

    @property
    def arguments(self) -> Arguments:
        """The arguments of the call; decoded when you ask before the body did, which may read from the store.

        Raises:
            SerializationError: they cannot be decoded here.
        """
        if self.decoded is None:
            self.decoded = run(self.task.payloads.decode_arguments(self._claim.arguments))
        args, kwargs = self.decoded
        return self.task.args(*args, **kwargs)


class ClaimEvent(Event):
    """One exchange of a runner with its store, as far as it asks for work; heartbeats ask for none.

    Attributes:
        app_id: of which app.
        runner: name of the runner.
        slots: bodies it can run at once.
        queues: those it asks for; () for all.
        wanted: how many runs it asks for.
        runs: in `after_claim`, those it got.
        in_hand: in `after_claim`, how many runs it has claimed and not settled, waiting ones included.
        waiting: in `after_claim`, how many of those wait for others and hold no slot.
        took_s: in `after_claim`, how long the exchange took, in seconds.
    """

    def __init__(self, *, app_id: str, runner: str, slots: int, queues: tuple[str, ...], wanted: int) -> None:
        super().__init__()
        self.app_id = app_id
        self.runner = runner
        self.slots = slots
        self.queues = queues
        self.wanted = wanted
        self.runs: tuple[ClaimedRun, ...] = ()
        self.in_hand = 0
        self.waiting = 0
        self.took_s = 0.0


class EndedRun:
    """The end of an attempt on its way to the store.

    Attributes:
        run: which attempt.
        ending: what it came to.
        accepted: in `after_settle`, whether the store took it; False if the run was superseded; None if unknown.
    """

    __slots__ = ("_completion", "accepted", "ending", "run")

    def __init__(self, run: ClaimedRun, ending: Ending, completion: Completion) -> None:
        self.run = run
        self.ending = ending
        self.accepted: bool | None = None
        self._completion = completion

    @property
    def ran_s(self) -> float:
        """How long its body ran, waits included, in seconds; 0 if nobody knows."""
        return self._completion.ran_us / 1e6

    @property
    def worker(self) -> int:
        """Which worker told of the end; 0 if the runner says it itself, for a body that it had to kill."""
        return self._completion.worker

    @property
    def detail(self) -> str:
        """For people: what crashed it, who cancelled it, why it was handed back."""
        return getattr(self._completion, "detail", "") or str(getattr(self._completion, "reason", ""))


class SettleEvent(Event):
    """One exchange of a runner with its store, as far as it tells of starts and ends.

    Attributes:
        app_id: of which app.
        runner: name of the runner.
        started: runs whose start is told: each once, unless an exchange fails.
        ends: attempts that ended, waits not included: each once, unless an exchange fails.
        took_s: in `after_settle`, how long the exchange took, in seconds.
    """

    def __init__(
        self, *, app_id: str, runner: str, started: tuple[ClaimedRun, ...], ends: tuple[EndedRun, ...]
    ) -> None:
        super().__init__()
        self.app_id = app_id
        self.runner = runner
        self.started = started
        self.ends = ends
        self.took_s = 0.0
