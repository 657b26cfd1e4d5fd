"""A control loop on a memory store, moved by hand: a fake clock, bodies that end when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pynenc.backends.memory import MemoryBackend
from pynenc.io import Op, run
from pynenc.model.ids import Epoch, InvocationId, SessionId, new_invocation_id
from pynenc.model.policies import RunPolicy, encode_policy
from pynenc.model.records import (
    Claim,
    Exchange,
    ExchangeReply,
    SessionInfo,
    SessionKind,
    SessionRow,
    Snapshot,
    Submission,
    Success,
)
from pynenc.ports.executor import (
    Began,
    Executor,
    ExecutorEvent,
    Finished,
    Observation,
    Resumption,
    Returned,
    StopReason,
)
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.control_loop import ControlLoop
from pynenc.runners.loop_config import LoopConfig
from pynenc.runners.queue_turns import QueueOrder
from pynenc.runners.waiting import Wait
from pynenc.testing.clock import FakeClock


class ScriptedExecutor(Executor):
    """Starts as many claims as it has slots; the test says what becomes of them."""

    def __init__(self, slots: int, clock: Callable[[], float]) -> None:
        self.slots = slots
        self.claims: list[Claim] = []
        """Claims it has, in the order they came."""
        self.events: list[ExecutorEvent] = []
        self.resumptions: list[Resumption] = []
        self.observations: list[Observation] = []
        self.stops: list[tuple[InvocationId, StopReason]] = []
        self.abandoned: set[InvocationId] = set()
        self.parked: set[InvocationId] = set()
        self.closed = False
        self._clock = clock

    def start(self) -> None: ...

    def fileno(self) -> int:
        return -1

    def poll(self) -> Sequence[ExecutorEvent]:
        events, self.events = self.events, []
        return events

    def due_at_s(self) -> float | None:
        return None

    def spare(self) -> int:
        return self.slots - len([claim for claim in self.claims if claim.invocation_id not in self.parked])

    def run(self, claims: Sequence[Claim]) -> None:
        self.claims += claims

    def resume(self, resumptions: Sequence[Resumption]) -> None:
        self.resumptions += resumptions
        self.parked -= {item.invocation_id for item in resumptions}

    def observe(self, observations: Sequence[Observation]) -> None:
        self.observations += observations

    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        self.stops.append((invocation_id, why))

    def abandon(self, runs: Iterable[tuple[InvocationId, Epoch]]) -> None:
        for invocation_id, _ in runs:
            self.abandoned.add(invocation_id)
            self._drop(invocation_id)

    def recall(self, *, older_than_s: float) -> int:
        returned = self.claims[self.slots :]
        for claim in returned:
            self._drop(claim.invocation_id)
            self.events.append(Returned(claim.invocation_id, claim.epoch))
        return len(returned)

    def close(self, grace_s: float) -> None:
        self.closed = True

    # --- what the test does ---

    def claim_of(self, invocation_id: InvocationId) -> Claim:
        return next(claim for claim in self.claims if claim.invocation_id == invocation_id)

    def begin(self, claim: Claim) -> None:
        self.events.append(Began(claim.invocation_id, claim.epoch, 1, self._clock()))

    def succeed(self, claim: Claim, *, ran_us: int = 0) -> None:
        self._drop(claim.invocation_id)
        success = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"done", ran_us=ran_us)
        self.events.append(Finished(success))

    def _drop(self, invocation_id: InvocationId) -> None:
        self.claims = [claim for claim in self.claims if claim.invocation_id != invocation_id]


class FailingOrchestrator:
    """Passes everything on to a store, but raises what the test put into `before`, `after` and `elsewhere`."""

    def __init__(self, inner: Orchestrator) -> None:
        self._inner = inner
        self.before: list[Exception] = []
        """Raised by the next exchanges without anything having happened."""
        self.after: list[Exception] = []
        """Raised by the next exchanges although the store applied them."""
        self.elsewhere: list[Exception] = []
        """Raised by the next attempts to open a session or to list them."""
        self.exchanges: list[Exchange] = []

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        self._fail_elsewhere()
        return (yield from self._inner.open_session(info, lease_us=lease_us))

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        self._fail_elsewhere()
        return (yield from self._inner.list_sessions(live_only=live_only))

    def _fail_elsewhere(self) -> None:
        if self.elsewhere:
            raise self.elsewhere.pop(0)

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        self.exchanges.append(request)
        if self.before:
            raise self.before.pop(0)
        reply = yield from self._inner.exchange(request)
        if self.after:
            raise self.after.pop(0)
        return reply

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Stage:
    """The loop, its store, its executor, and time."""

    def __init__(
        self,
        *,
        slots: int = 2,
        prefetch: bool = False,
        queues: tuple[str, ...] = (),
        queue_limits: dict[str, int] | None = None,
        queue_order: QueueOrder = QueueOrder.BY_RANK,
    ) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(clock=self.clock)
        self.store = FailingOrchestrator(self.backend.orchestrator)
        self.executor = ScriptedExecutor(slots, self.now_s)
        self._bell = self.backend.orchestrator.doorbell()
        info = SessionInfo(
            kind=SessionKind.RUNNER, name="stage", host="here", pid=1, slots=slots, doorbell=self._bell.address
        )
        self.loop = ControlLoop(
            self.store,
            self.executor,
            self._bell,
            LoopConfig(
                lease_s=10.0,
                prefetch=prefetch,
                queues=queues,
                queue_limits=queue_limits or {},
                queue_order=queue_order,
            ),
            self.now_s,
            info,
        )
        self.over = False
        self._main = self.loop.main()
        self._request: Any = None
        self._wake_us = 0
        """When the `Wait` that it stands at ends by itself."""

    def now_s(self) -> float:
        return self.clock() / 1e6

    def settle(self, *, most: int = 1_000) -> None:
        """Let the loop do everything it can do without time passing."""
        for _ in range(most):
            if self.over or (isinstance(self._request, Wait) and not self._wanted(self._request)):
                return
            self._step()
        raise AssertionError("the loop never comes to rest")

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the steps in which the loop sleeps."""
        until_us = self.clock() + int(seconds * 1e6)
        self.settle()
        while not self.over and self._wake_us <= until_us:
            self.clock.set(self._wake_us)
            self._step()
            self.settle()
        self.clock.set(max(until_us, self.clock()))

    def submit(
        self, count: int = 1, *, timeout_s: float | None = None, delay_s: float = 0.0, queue: str = "default"
    ) -> list[InvocationId]:
        policy = encode_policy(RunPolicy(timeout_us=None if timeout_s is None else int(timeout_s * 1e6)))
        items = [
            Submission(
                invocation_id=new_invocation_id(),
                task_id="t",
                arguments=b"",
                policy=policy,
                delay_us=int(delay_s * 1e6),
                queue=queue,
            )
            for _ in range(count)
        ]
        run(self.backend.orchestrator.submit(items))
        return [item.invocation_id for item in items]

    def snapshot(self, invocation_id: InvocationId) -> Snapshot:
        (found,) = run(self.backend.state_backend.snapshots([invocation_id]))
        assert found is not None
        return found

    def status(self, invocation_id: InvocationId) -> str:
        (status,) = run(self.backend.state_backend.statuses([invocation_id]))
        assert status is not None
        return status.value

    @property
    def session(self) -> SessionId:
        """The live session of the loop."""
        (row,) = run(self.backend.orchestrator.list_sessions())
        return row.session

    def _wanted(self, wait: Wait) -> bool:
        return bool(self.executor.events) or wait.timeout_s <= 0 or bool(_readable(wait))

    def _step(self) -> None:
        """Answer the request the loop waits for, as the world is now."""
        self._take_step()
        if isinstance(self._request, Wait):
            self._wake_us = self.clock() + int(self._request.timeout_s * 1e6) + 1

    def _take_step(self) -> None:
        try:
            if self._request is None:
                self._request = next(self._main)
                return
            request = self._request
            try:
                reply = _readable(request) if isinstance(request, Wait) else request.send()
            except Exception as error:  # noqa: BLE001 - the loop gets it where it asked
                self._request = self._main.throw(error)
            else:
                self._request = self._main.send(reply)
        except StopIteration:
            self.over = True


def _readable(wait: Wait) -> frozenset[int]:
    return Wait([descriptor for descriptor in wait.descriptors if descriptor >= 0], 0.0).send()
