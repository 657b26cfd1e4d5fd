"""What a kill at each point leaves behind and who makes it good: the table of ENGINE 5.2, for single stores.

Rows that are about a transport (3-7, 21, 24) or about several stores (23, 25) have no meaning here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.backends.sqlite import open_backend
from pynenc.errors import SessionGone
from pynenc.io import run
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import (
    CancelNotice,
    Claim,
    ClaimIdVerdict,
    Exchange,
    ExchangeReply,
    Fence,
    FinishedNotice,
    ListFilter,
    Outcome,
    Release,
    Retry,
    SessionInfo,
    SessionKind,
    Snapshot,
    Started,
    Submission,
    SubmitVerdict,
    Success,
    Suspend,
    Verdict,
)
from pynenc.model.status import InvocationStatus, Reason, State
from pynenc.ports.backend import Backend
from pynenc.testing.differential import TraceClock
from tests.simulation.mutants import MUTANTS

LEASE_US = 10_000_000
WORK = InvocationId(b"work" * 4)
CHILD = InvocationId(b"kid!" * 4)


class Stage:
    """A store, its clock, and shorthands."""

    def __init__(self, backend: Backend, clock: TraceClock) -> None:
        self.backend = backend
        self.clock = clock

    def open(self) -> SessionId:
        info = SessionInfo(kind=SessionKind.RUNNER, name="runner", host="here", pid=1, slots=1)
        return run(self.backend.orchestrator.open_session(info, lease_us=LEASE_US))

    def submit(self, invocation_id: InvocationId = WORK, **options: Any) -> SubmitVerdict:
        item = Submission(invocation_id=invocation_id, task_id="task", arguments=b"", **options)
        return run(self.backend.orchestrator.submit([item]))[0].verdict

    def exchange(self, session: SessionId, *completions: Any, **options: Any) -> ExchangeReply:
        return run(self.backend.orchestrator.exchange(Exchange(session=session, completions=completions, **options)))

    def claim(self, session: SessionId) -> Claim:
        (claim,) = self.exchange(session, want=1).claims
        return claim

    def start(self, session: SessionId, claim: Claim) -> None:
        self.exchange(session, started=(Started(claim.invocation_id, claim.epoch),))

    def lose(self) -> None:
        """Let every lease end and be noticed."""
        self.clock.now_us += LEASE_US
        run(self.backend.orchestrator.tick(budget=100))

    def snapshot(self, invocation_id: InvocationId = WORK) -> Snapshot:
        (found,) = run(self.backend.state_backend.snapshots([invocation_id]))
        assert found is not None
        return found

    def outcome(self, invocation_id: InvocationId = WORK) -> Outcome:
        outcome = self.snapshot(invocation_id).outcome
        assert outcome is not None
        return outcome


@pytest.fixture(params=["memory", "sqlite"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    clock = TraceClock()
    if request.param == "memory":
        return Stage(MemoryBackend(clock=clock), clock)
    return Stage(open_backend(f"sqlite:///{tmp_path}/store.db", clock=clock, options={}), clock)


def done(claim: Claim, result: bytes = b"result") -> Success:
    return Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=result)


def test_01_a_submission_that_was_never_sent_is_sent_again_with_its_id(stage: Stage) -> None:
    assert run(stage.backend.state_backend.snapshots([WORK])) == [None]

    assert stage.submit() is SubmitVerdict.CREATED


def test_02_a_submission_whose_reply_got_lost_is_repeated_without_effect(stage: Stage) -> None:
    stage.submit(WORK)

    assert stage.submit(WORK) is SubmitVerdict.EXISTING
    assert len(run(stage.backend.state_backend.listing(ListFilter()))) == 1


def test_08_what_is_claimed_is_busy_for_others_until_its_lease_ends(stage: Stage) -> None:
    owner, other = stage.open(), stage.open()
    stage.submit()
    stage.claim(owner)

    (busy,) = run(stage.backend.orchestrator.claim_ids(other, [WORK]))
    stage.clock.now_us += LEASE_US // 2
    stage.exchange(other)
    stage.clock.now_us += LEASE_US // 2
    run(stage.backend.orchestrator.tick(budget=10))
    (claimed,) = run(stage.backend.orchestrator.claim_ids(other, [WORK]))

    assert busy.verdict is ClaimIdVerdict.BUSY
    assert claimed.verdict is ClaimIdVerdict.CLAIMED


def test_09_a_claim_whose_reply_got_lost_is_found_and_handed_back_uncounted(stage: Stage) -> None:
    session = stage.open()
    stage.submit()
    stage.claim(session)

    (owned,) = run(stage.backend.orchestrator.list_owned(session))
    stage.exchange(session, Release(invocation_id=owned.invocation_id, epoch=owned.epoch))
    again = stage.claim(session)

    assert (owned.invocation_id, owned.state) == (WORK, State.OWNED)
    assert (again.epoch, again.attempt, again.crashes) == (2, 1, 0)


def test_10_a_runner_that_dies_before_the_start_costs_neither_attempt_nor_crash(stage: Stage) -> None:
    stage.submit()
    stage.claim(stage.open())

    stage.lose()
    again = stage.claim(stage.open())

    assert (again.epoch, again.attempt, again.crashes) == (2, 1, 0)
    assert stage.snapshot().attempts[0].reason is Reason.RUNNER_LOST_PENDING


@pytest.mark.parametrize("_point", ["11 during user code", "12 before its completion was sent"])
def test_11_12_a_runner_that_dies_in_the_body_counts_as_a_crash_and_the_body_runs_again(
    stage: Stage, _point: str
) -> None:
    first = stage.open()
    stage.submit()
    stage.start(first, stage.claim(first))

    stage.lose()
    second = stage.open()
    again = stage.claim(second)
    stage.exchange(second, done(again))

    assert (again.epoch, again.attempt, again.crashes) == (2, 1, 1)
    assert (stage.outcome().session, stage.outcome().epoch) == (second, 2)
    assert stage.snapshot().attempts[0].reason is Reason.RUNNER_LOST_RUNNING


def test_13_a_result_uploaded_without_its_completion_is_overwritten_and_collected(stage: Stage) -> None:
    data = stage.backend.client_data_store
    run(data.put(b"k" * 32, b"large"))

    run(data.put(b"k" * 32, b"large"))
    stage.clock.now_us += 1_000
    dropped = run(data.collect(before_us=stage.clock.now_us))

    assert dropped == 1
    assert run(data.get(b"k" * 32)) is None


def test_14_a_completion_whose_reply_got_lost_is_answered_already(stage: Stage) -> None:
    session = stage.open()
    stage.submit()
    claim = stage.claim(session)
    stage.exchange(session, done(claim))
    before = stage.outcome()

    (verdict,) = stage.exchange(session, done(claim, b"another")).verdicts

    assert verdict.verdict is Verdict.ALREADY
    assert stage.outcome() == before


def test_15_a_waiter_whose_doorbell_was_lost_goes_on_at_its_next_exchange(stage: Stage) -> None:
    waiting, working = stage.open(), stage.open()
    stage.submit()
    waiter = stage.claim(waiting)
    stage.submit(CHILD)
    stage.exchange(waiting, Suspend(invocation_id=WORK, epoch=waiter.epoch, waits=(CHILD,)))
    stage.exchange(working, done(stage.claim(working)))

    (resumed,) = stage.exchange(waiting, want=1).resumed

    assert (resumed.invocation_id, resumed.epoch, resumed.timed_out) == (WORK, waiter.epoch, False)
    assert [outcome.invocation_id for outcome in resumed.outcomes] == [CHILD]


def test_16_a_runner_that_slept_past_its_lease_writes_nothing_any_more(stage: Stage) -> None:
    slept = stage.open()
    stage.submit()
    old = stage.claim(slept)
    stage.lose()
    awake = stage.open()
    new = stage.claim(awake)

    with pytest.raises(SessionGone):
        stage.exchange(slept, done(old, b"too late"))
    child = stage.submit(CHILD, parent=Fence(slept, WORK, old.epoch))
    stale = stage.exchange(awake, done(old, b"wrong epoch")).verdicts[0]
    stage.exchange(awake, done(new, b"in time"))

    assert child is SubmitVerdict.STALE_PARENT
    assert stale.verdict is Verdict.STALE
    assert stage.outcome().payload == b"in time"


def test_17_a_delayed_retry_needs_nobody_but_the_store_to_come_back(stage: Stage) -> None:
    session = stage.open()
    stage.submit()
    claim = stage.claim(session)
    stage.exchange(session, Retry(invocation_id=WORK, epoch=claim.epoch, error=b"", delay_us=1_000))

    early = stage.exchange(session, want=1)
    stage.clock.now_us += 1_000
    late = stage.exchange(session, want=1)

    assert early.claims == ()
    assert [(again.epoch, again.attempt) for again in late.claims] == [(Epoch(2), 2)]


def test_18_a_runner_that_dies_while_its_body_waits_lets_it_start_anew_without_a_crash(stage: Stage) -> None:
    session = stage.open()
    stage.submit()
    claim = stage.claim(session)
    stage.start(session, claim)
    stage.submit(CHILD, delay_us=60_000_000)
    stage.exchange(session, Suspend(invocation_id=WORK, epoch=claim.epoch, waits=(CHILD,)))

    stage.lose()
    again = stage.claim(stage.open())

    assert (again.invocation_id, again.epoch, again.attempt, again.crashes) == (WORK, 2, 1, 0)
    assert run(stage.backend.dump())["waits"] == {}


def test_19_notices_whose_doorbell_was_lost_wait_in_the_inbox(stage: Stage) -> None:
    runner, client = stage.open(), stage.open()
    stage.submit()
    claim = stage.claim(runner)
    run(stage.backend.orchestrator.watch(client, [WORK]))

    run(stage.backend.orchestrator.cancel([WORK], detail="enough"))
    to_owner = stage.exchange(runner).inbox
    stage.exchange(runner, done(claim))
    to_watcher = stage.exchange(client).inbox

    assert to_owner == (CancelNotice(invocation_id=WORK, epoch=claim.epoch, detail="enough"),)
    assert to_watcher == (FinishedNotice(outcome=stage.outcome()),)
    assert stage.outcome().status is InvocationStatus.SUCCESS


def test_20_a_tick_that_got_halfway_is_finished_by_the_next_each_thing_once(stage: Stage) -> None:
    ids = [InvocationId(bytes([number]) * 16) for number in range(5)]
    for invocation_id in ids:
        stage.submit(invocation_id, delay_us=1_000)
    stage.clock.now_us += 1_000

    handled = [run(stage.backend.orchestrator.tick(budget=2)) for _ in range(4)]

    assert [reply.handled for reply in handled] == [2, 2, 1, 0]
    assert [reply.more for reply in handled] == [True, True, False, False]
    assert [claim.invocation_id for claim in stage.exchange(stage.open(), want=10).claims] == ids


def test_repair_rebuilds_what_a_broken_engine_left_out() -> None:
    clock = TraceClock()
    stage = Stage(MemoryBackend(clock=clock), clock)
    session = stage.open()
    stage.submit()
    claim = stage.claim(session)
    with MUTANTS["retry_loses_token"].applied():
        stage.exchange(session, Retry(invocation_id=WORK, epoch=claim.epoch, error=b"", delay_us=1_000))
    stage.clock.now_us += 1_000
    lost = stage.exchange(session, want=1).claims

    broken = run(stage.backend.orchestrator.verify(repair=True))

    assert lost == ()
    assert [violation.invariant for violation in broken] == ["I7"]
    assert run(stage.backend.orchestrator.verify()) == []
    assert stage.claim(session).epoch == 2
