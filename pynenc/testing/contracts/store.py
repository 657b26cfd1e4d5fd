"""Words for the contracts: what tests say to a store, without its ceremony."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

from pynenc.io import Op, run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import (
    Claim,
    Completion,
    CompletionReply,
    Control,
    Exchange,
    ExchangeReply,
    Outcome,
    Resumed,
    SessionInfo,
    SessionKind,
    Snapshot,
    Started,
    Submission,
    SubmitReply,
    Success,
    Suspend,
)
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend
from pynenc.testing.clock import FakeClock

T = TypeVar("T")
LEASE_US = 10_000_000
SECOND_US = 1_000_000


class Perform(Protocol):
    """Runs an operation, blocking or on an event loop."""

    def __call__(self, op: Op[T]) -> T: ...


class Store:
    """A store under test."""

    def __init__(self, backend: Backend, perform: Perform, clock: FakeClock) -> None:
        self.backend = backend
        self.orchestrator = backend.orchestrator
        self.state = backend.state_backend
        self.perform = perform
        self.clock = clock

    def submit(self, **fields: Any) -> InvocationId:
        """Submit one invocation that has to be created; return its id."""
        item = submission(**fields)
        reply = self.submit_items(item)[0]
        assert reply.verdict == 0, reply
        return item.invocation_id

    def submit_items(self, *items: Submission) -> list[SubmitReply]:
        return self.perform(self.orchestrator.submit(items))

    def runner(self, *, name: str = "runner", queues: tuple[str, ...] = (), slots: int = 10) -> SessionId:
        info = SessionInfo(kind=SessionKind.RUNNER, name=name, host="host", pid=1, queues=queues, slots=slots)
        return self.perform(self.orchestrator.open_session(info, lease_us=LEASE_US))

    def client(self) -> SessionId:
        info = SessionInfo(kind=SessionKind.CLIENT, name="client", host="host", pid=2)
        return self.perform(self.orchestrator.open_session(info, lease_us=LEASE_US))

    def exchange(self, session: SessionId, **fields: Any) -> ExchangeReply:
        return self.perform(self.orchestrator.exchange(Exchange(session=session, **fields)))

    def claim(self, session: SessionId, *, want: int = 1, queues: tuple[str, ...] = ()) -> list[Claim]:
        return list(self.exchange(session, want=want, queues=queues).claims)

    def claim_one(self, session: SessionId) -> Claim:
        claims = self.claim(session)
        assert len(claims) == 1, claims
        return claims[0]

    def start(self, claim: Claim, *, worker: int = 1) -> None:
        started = Started(claim.invocation_id, claim.epoch, worker)
        self.exchange(claim.session, started=(started,))

    def running(self, session: SessionId, **fields: Any) -> Claim:
        """Submit, claim and start one invocation."""
        self.submit(**fields)
        claim = self.claim_one(session)
        self.start(claim)
        return claim

    def settle(self, session: SessionId, *done: Completion) -> list[CompletionReply]:
        return list(self.exchange(session, completions=done).verdicts)

    def succeed(self, claim: Claim, result: bytes = b"result") -> CompletionReply:
        done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=result)
        return self.settle(claim.session, done)[0]

    def suspend(
        self, claim: Claim, *waits: InvocationId, need: int = 0, timeout_us: int | None = None
    ) -> CompletionReply:
        wish = Suspend(
            invocation_id=claim.invocation_id, epoch=claim.epoch, waits=waits, need=need, timeout_us=timeout_us
        )
        return self.settle(claim.session, wish)[0]

    def resumed(self, session: SessionId, *, want: int = 10) -> list[Resumed]:
        return list(self.exchange(session, want=want, claim_new=False).resumed)

    def snapshot(self, invocation_id: InvocationId) -> Snapshot:
        found = self.perform(self.state.snapshots([invocation_id]))[0]
        assert found is not None
        return found

    def control(self, invocation_id: InvocationId) -> Control:
        control = self.snapshot(invocation_id).control
        assert control is not None
        return control

    def outcome(self, invocation_id: InvocationId) -> Outcome:
        outcome = self.snapshot(invocation_id).outcome
        assert outcome is not None
        return outcome

    def status(self, invocation_id: InvocationId) -> InvocationStatus | None:
        return self.perform(self.state.statuses([invocation_id]))[0]

    def tick(self, *, budget: int = 1_000) -> int:
        return self.perform(self.orchestrator.tick(budget=budget)).handled

    def expire_sessions(self) -> None:
        """Let every lease end and recover what was owned."""
        self.clock.advance(LEASE_US / SECOND_US + 1)
        self.tick()


class StoreContract:
    """Base of the contracts: the store as `store`, found sound after each test."""

    @pytest.fixture
    def store(self, backend: Backend, perform: Perform, clock: FakeClock) -> Iterator[Store]:
        yield Store(backend, perform, clock)
        assert run(backend.orchestrator.verify()) == []


def submission(**fields: Any) -> Submission:
    """Return a submission of a fresh id with plain values for what is not given."""
    return Submission(
        **{"invocation_id": new_invocation_id(), "task_id": "tests.task", "arguments": b"arguments", **fields}
    )


def race(number: int, act: Callable[[int], T]) -> list[T]:
    """Run `act(0)` … `act(number - 1)` in threads that begin together; return what they returned, in order."""
    barrier = threading.Barrier(number)
    results: list[Any] = [None] * number
    errors: list[BaseException] = []

    def one(index: int) -> None:
        barrier.wait()
        try:
            results[index] = act(index)
        except BaseException as error:  # noqa: BLE001 - raised again in the test
            errors.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
