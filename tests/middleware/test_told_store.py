"""What a runner has in hand, as middleware is told: every way a run comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.errors import StoreUnavailable
from pynenc.io import Op, run
from pynenc.middleware import ClaimEvent, Middleware, SettleEvent
from pynenc.middleware.registry import Hooks
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import (
    CancelNotice,
    Claim,
    ClaimIdReply,
    Completion,
    CompletionReply,
    Exchange,
    ExchangeReply,
    Owned,
    Resumed,
    SessionInfo,
    SessionKind,
    Started,
    Success,
    Suspend,
    Verdict,
)
from pynenc.model.status import State
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.passing import PassingOrchestrator
from pynenc.runners.told_store import told

SESSION = SessionId(1)
ONE, TWO = InvocationId(b"1" * 16), InvocationId(b"2" * 16)


def claim(invocation_id: InvocationId, epoch: int = 1) -> Claim:
    return Claim(
        invocation_id=invocation_id,
        session=SESSION,
        epoch=Epoch(epoch),
        attempt=1,
        crashes=0,
        task_id="shop.pay",
        arguments=b"",
        policy=b"",
        meta=b"",
        queue="default",
        rank=1,
    )


def success(invocation_id: InvocationId, epoch: int = 1) -> Success:
    return Success(invocation_id=invocation_id, epoch=Epoch(epoch), result=b"")


class Scripted(PassingOrchestrator):
    """A store that says what it is told to say."""

    def __init__(self, inner: Orchestrator) -> None:
        super().__init__(inner)
        self.reply = ExchangeReply()
        self.owned: list[Owned] = []
        self.refuses = False

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        if self.refuses:
            raise StoreUnavailable("gone")
        return (yield from super().claim_ids(session, ids, queues=queues, most=most))

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        yield from ()
        return self.reply

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        yield from ()
        return self.owned


class Counts(Middleware):
    def __init__(self) -> None:
        self.in_hand = self.waiting = self.slots = -1
        self.started = 0
        self.accepted: list[bool | None] = []
        self.errors: list[BaseException] = []

    def after_claim(self, claim: ClaimEvent) -> None:
        self.errors += [claim.error] if claim.error is not None else []
        self.in_hand, self.waiting, self.slots = claim.in_hand, claim.waiting, claim.slots

    def after_settle(self, settle: SettleEvent) -> None:
        self.started += len(settle.started)
        self.accepted += [end.accepted for end in settle.ends]


class Stage:
    """A told store over a scripted one."""

    def __init__(self) -> None:
        self.counts = Counts()
        hooks = Hooks()
        hooks.add(self.counts)
        self.inner = Scripted(MemoryBackend().orchestrator)
        self.store = told(self.inner, hooks, "test")
        self.open()

    def open(self) -> None:
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=2)
        run(self.store.open_session(info, lease_us=60_000_000))

    def exchange(self, *completions: Completion, verdict: Verdict = Verdict.ACCEPTED, **reply: Any) -> tuple[int, int]:
        """Send completions, get the reply; return how many runs are in hand and how many of them wait."""
        self.inner.reply = ExchangeReply(verdicts=tuple(CompletionReply(verdict) for _ in completions), **reply)
        run(self.store.exchange(Exchange(session=SESSION, completions=completions, want=1)))
        return self.counts.in_hand, self.counts.waiting


@pytest.fixture
def stage() -> Stage:
    """Return a stage with two runs in hand."""
    stage = Stage()
    assert stage.exchange(claims=(claim(ONE), claim(TWO))) == (2, 0)
    return stage


def wait(invocation_id: InvocationId) -> Suspend:
    return Suspend(invocation_id=invocation_id, epoch=Epoch(1), waits=(TWO,))


def test_a_run_waits_goes_on_and_ends(stage: Stage) -> None:
    resumed = Resumed(invocation_id=ONE, epoch=Epoch(1), timed_out=False, outcomes=())

    assert stage.exchange(wait(ONE)) == (2, 1)
    assert stage.exchange(success(TWO), resumed=(resumed,)) == (1, 0)
    assert stage.exchange(success(ONE)) == (0, 0)
    assert (stage.counts.accepted, stage.counts.started) == ([True, True], 2)


def test_a_claim_tells_how_many_slots_there_are_now(stage: Stage) -> None:
    grown = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=5)

    run(stage.store.exchange(Exchange(session=SESSION, info=grown)))
    at_once = stage.counts.slots
    stage.exchange()

    assert (at_once, stage.counts.slots) == (5, 5)


@pytest.mark.parametrize("verdict", [Verdict.SATISFIED, Verdict.WAIT_CYCLE, Verdict.UNKNOWN])
def test_a_wait_that_is_refused_leaves_the_run_active(stage: Stage, verdict: Verdict) -> None:
    assert stage.exchange(wait(ONE), verdict=verdict) == (2, 0)


def test_a_superseded_run_is_out_of_hand(stage: Stage) -> None:
    assert stage.exchange(success(ONE), verdict=Verdict.STALE) == (1, 0)
    assert stage.counts.accepted == [False]


def test_a_superseded_wait_is_out_of_hand(stage: Stage) -> None:
    assert stage.exchange(wait(ONE), verdict=Verdict.STALE) == (1, 0)


def test_the_cancellation_of_a_waiting_run_ends_it_and_that_of_an_active_one_does_not(stage: Stage) -> None:
    stage.exchange(wait(ONE))
    notices = tuple(CancelNotice(invocation_id=each, epoch=Epoch(1), detail="") for each in (ONE, TWO))

    assert stage.exchange(inbox=notices) == (1, 0)


def test_a_newer_claim_of_the_same_invocation_takes_the_place_of_the_older_one(stage: Stage) -> None:
    assert stage.exchange(success(ONE, epoch=1), claims=(claim(ONE, epoch=2),)) == (2, 0)
    assert stage.exchange(success(ONE, epoch=1)) == (2, 0)
    assert stage.exchange(success(ONE, epoch=2)) == (1, 0)
    assert stage.counts.accepted == [True, True]


def test_what_the_store_no_longer_lists_is_out_of_hand(stage: Stage) -> None:
    stage.inner.owned = [Owned(TWO, Epoch(1), State.OWNED)]
    run(stage.store.list_owned(SESSION))

    assert stage.exchange() == (1, 0)


def test_a_new_session_begins_with_empty_hands(stage: Stage) -> None:
    stage.exchange(wait(ONE))
    stage.open()

    assert stage.exchange() == (0, 0)


def test_a_start_that_is_reported_twice_is_told_once(stage: Stage) -> None:
    stage.inner.reply = ExchangeReply()
    for _ in range(2):
        run(stage.store.exchange(Exchange(session=SESSION, started=(Started(ONE, Epoch(1)),))))
    stage.exchange(success(ONE))

    assert stage.counts.started == 1


def test_hooks_around_a_claim_by_id_are_left_when_the_store_refuses_it(stage: Stage) -> None:
    stage.inner.refuses = True

    with pytest.raises(StoreUnavailable) as caught:
        run(stage.store.claim_ids(SESSION, [ONE]))

    assert stage.counts.errors == [caught.value]
