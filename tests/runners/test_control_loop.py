"""What a control loop does with what store and executor tell it."""

from __future__ import annotations

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.core.moving import Move
from pynenc.errors import SessionGone, StoreFull, StoreUnavailable
from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.model.records import Claim, Exchange, Success, Suspend
from pynenc.ports.executor import Finished, Lost, StopReason, WaitWanted, WatchWanted
from tests.runners.stage import Stage


def wait_for(claim: Claim, *ids: InvocationId, timeout_us: int | None = None) -> WaitWanted:
    suspend = Suspend(invocation_id=claim.invocation_id, epoch=claim.epoch, waits=ids, timeout_us=timeout_us)
    return WaitWanted(suspend)


def park(stage: Stage, claim: Claim, *ids: InvocationId) -> None:
    stage.executor.parked.add(claim.invocation_id)
    stage.executor.events.append(wait_for(claim, *ids))
    stage.settle()


# --- claiming and settling ------------------------------------------------------------------------------


def test_it_claims_as_much_as_there_are_slots() -> None:
    stage = Stage(slots=2)
    stage.submit(5)

    stage.settle()

    assert len(stage.executor.claims) == 2


def test_completions_and_new_claims_share_one_exchange() -> None:
    stage = Stage(slots=2)
    stage.submit(4)
    stage.settle()
    before = len(stage.store.exchanges)

    for claim in list(stage.executor.claims):
        stage.executor.succeed(claim)
    stage.settle()

    settling = [request for request in stage.store.exchanges[before:] if request.completions]
    assert [len(request.completions) for request in settling] == [2]
    assert settling[0].want == 2
    assert len(stage.executor.claims) == 2


def test_an_idle_loop_is_woken_by_the_doorbell() -> None:
    stage = Stage()
    stage.settle()

    (submitted,) = stage.submit()
    stage.settle()

    assert [claim.invocation_id for claim in stage.executor.claims] == [submitted]


def test_an_idle_loop_sends_nothing_but_heartbeats() -> None:
    stage = Stage()
    stage.settle()
    before = len(stage.store.exchanges)

    stage.pass_time(100.0)

    # A third of the lease of 10 s.
    assert 29 <= len(stage.store.exchanges) - before <= 31
    assert run(stage.backend.orchestrator.list_sessions())


def test_delayed_work_begins_when_it_is_due() -> None:
    stage = Stage()
    stage.submit(delay_s=42.0)

    stage.pass_time(41.9)
    early = list(stage.executor.claims)
    stage.pass_time(0.2)

    assert early == []
    assert len(stage.executor.claims) == 1


def test_only_a_body_that_runs_for_long_is_reported_as_started() -> None:
    stage = Stage(slots=1)
    long, short = stage.submit(2)
    stage.settle()

    stage.executor.begin(stage.executor.claim_of(long))
    stage.pass_time(1.0)
    status = stage.status(long)
    stage.executor.succeed(stage.executor.claim_of(long))
    stage.settle()
    stage.executor.begin(stage.executor.claim_of(short))
    stage.executor.succeed(stage.executor.claim_of(short))
    stage.settle()

    assert status == "running"
    reported = [report.invocation_id for request in stage.store.exchanges for report in request.started]
    assert reported == [long]


def test_short_bodies_are_claimed_ahead_and_come_back_when_they_find_no_slot() -> None:
    stage = Stage(slots=1, prefetch=True)
    stage.submit(300)
    stage.settle()
    # The memory store answers at once by the fake clock; a round trip has to take some time.
    original = stage.store.exchange

    def slow(request):  # type: ignore[no-untyped-def]
        stage.clock.advance(0.002)
        return original(request)

    stage.store.exchange = slow  # type: ignore[method-assign]
    for _ in range(5):
        stage.executor.succeed(stage.executor.claims[0], ran_us=20)
        stage.settle()
    ahead = len(stage.executor.claims) - 1
    handed_over = list(stage.executor.claims[1:])
    stage.pass_time(3.0)

    assert ahead > 0
    assert len(stage.executor.claims) == 1
    for claim in handed_over:
        control = stage.snapshot(claim.invocation_id).control
        assert control is not None
        assert control.attempt == 0


# --- waiting --------------------------------------------------------------------------------------------


def test_a_waiting_body_gives_its_slot_back_and_goes_on_with_the_outcomes() -> None:
    stage = Stage(slots=1)
    parent, child = stage.submit(2)
    stage.settle()

    park(stage, stage.executor.claim_of(parent), child)
    while_waiting = stage.status(parent)
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.settle()

    assert while_waiting == "paused"
    (resumption,) = stage.executor.resumptions
    assert resumption.invocation_id == parent
    assert [outcome.invocation_id for outcome in resumption.reply.outcomes] == [child]


def test_waiting_for_what_is_final_goes_on_at_once() -> None:
    stage = Stage(slots=2)
    parent, child = stage.submit(2)
    stage.settle()
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.settle()

    park(stage, stage.executor.claim_of(parent), child)

    (resumption,) = stage.executor.resumptions
    assert [outcome.payload for outcome in resumption.reply.outcomes] == [b"done"]


def test_a_cycle_and_an_unknown_id_are_told_to_the_body() -> None:
    stage = Stage(slots=2)
    first, second = stage.submit(2)
    stage.settle()
    stranger = InvocationId(b"\x01" * 16)

    park(stage, stage.executor.claim_of(first), first)
    park(stage, stage.executor.claim_of(second), stranger)

    cycle, unknown = (item.reply for item in stage.executor.resumptions)
    assert cycle.cycle == (first, first)
    assert unknown.unknown == (stranger,)


def test_coroutines_hear_of_outcomes_while_their_run_goes_on() -> None:
    stage = Stage(slots=2)
    parent, child = stage.submit(2)
    stage.settle()
    claim = stage.executor.claim_of(parent)

    stage.executor.events.append(WatchWanted(parent, claim.epoch, (child,)))
    stage.settle()
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.settle()

    (observation,) = stage.executor.observations
    assert (observation.invocation_id, observation.outcomes[0].invocation_id) == (parent, child)


def test_a_run_that_lost_its_stack_starts_anew_when_it_is_resumed() -> None:
    stage = Stage(slots=1)
    parent, child = stage.submit(2)
    stage.settle()
    claim = stage.executor.claim_of(parent)
    park(stage, claim, child)

    stage.executor.events.append(Lost(parent, claim.epoch, "gone"))
    stage.settle()
    stage.executor.claims.remove(claim)
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.settle()

    again = stage.executor.claim_of(parent)
    assert (again.epoch, again.attempt, again.crashes) == (claim.epoch + 1, 1, 0)
    assert stage.executor.resumptions == []


def test_a_run_that_lost_its_stack_before_the_store_knew_starts_anew_at_once() -> None:
    stage = Stage(slots=1)
    parent, child = stage.submit(2)
    stage.settle()
    claim = stage.executor.claim_of(parent)

    stage.executor.claims.remove(claim)
    stage.executor.events += [wait_for(claim, child), Lost(parent, claim.epoch, "gone")]
    stage.settle()

    assert stage.executor.claim_of(parent).epoch == claim.epoch + 1


# --- stopping runs --------------------------------------------------------------------------------------


def test_a_body_that_exceeds_its_timeout_is_stopped_and_waiting_does_not_count() -> None:
    stage = Stage(slots=2)
    (parent,) = stage.submit(timeout_s=10.0)
    (child,) = stage.submit()
    stage.settle()
    stage.executor.begin(stage.executor.claim_of(parent))
    stage.pass_time(6.0)

    park(stage, stage.executor.claim_of(parent), child)
    stage.pass_time(60.0)
    while_waiting = list(stage.executor.stops)
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.pass_time(3.9)
    early = list(stage.executor.stops)
    stage.pass_time(0.2)

    assert while_waiting == early == []
    assert stage.executor.stops == [(parent, StopReason.TIMEOUT)]


def test_a_cancelled_run_is_stopped_once() -> None:
    stage = Stage()
    (running,) = stage.submit()
    stage.settle()

    run(stage.backend.orchestrator.cancel([running]))
    run(stage.backend.orchestrator.cancel([running]))
    stage.settle()

    assert stage.executor.stops == [(running, StopReason.CANCEL)]


def test_a_cancelled_waiting_run_is_dropped() -> None:
    stage = Stage()
    parent, child = stage.submit(2)
    stage.settle()
    park(stage, stage.executor.claim_of(parent), child)

    run(stage.backend.orchestrator.cancel([parent]))
    stage.settle()

    assert stage.executor.abandoned == {parent}
    assert stage.status(parent) == "cancelled"


# --- a store that fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("error", [StoreUnavailable("cut"), StoreFull("no space")])
def test_completions_survive_a_failing_store_and_arrive_once(error: Exception, applied: bool) -> None:
    stage = Stage(slots=2)
    done, _ = stage.submit(2)
    stage.settle()

    (stage.store.after if applied else stage.store.before).extend([error] * 3)
    stage.executor.succeed(stage.executor.claim_of(done))
    stage.pass_time(9.0)

    assert stage.status(done) == "success"
    assert stage.snapshot(done).attempts == ()
    assert len(stage.executor.claims) == 1


def test_claims_whose_reply_was_lost_go_back_uncounted() -> None:
    stage = Stage(slots=2)
    stage.settle()
    lost = stage.submit(2)

    stage.store.after.append(StoreUnavailable("the reply is lost"))
    stage.pass_time(1.0)

    assert {claim.invocation_id for claim in stage.executor.claims} == set(lost)
    assert {(claim.epoch, claim.attempt) for claim in stage.executor.claims} == {(2, 1)}


def test_claims_of_a_request_that_is_applied_after_it_was_given_up_go_back_uncounted() -> None:
    stage = Stage(slots=2)
    stage.settle()
    stage.store.before.append(StoreUnavailable("under way for long"))
    stage.pass_time(4.0)
    given_up = Exchange(session=stage.session, want=2)

    lost = stage.submit(2)
    claims = run(stage.backend.orchestrator.exchange(given_up)).claims
    assert len(claims) == 2
    stage.pass_time(4.0)

    assert {claim.invocation_id for claim in stage.executor.claims} == set(lost)
    assert {(claim.epoch, claim.attempt) for claim in stage.executor.claims} == {(2, 1)}


def test_a_resumption_whose_reply_was_lost_is_found() -> None:
    stage = Stage(slots=1)
    parent, child = stage.submit(2)
    stage.settle()
    park(stage, stage.executor.claim_of(parent), child)

    stage.store.after.append(StoreUnavailable("the reply is lost"))
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.pass_time(2.0)

    (resumption,) = stage.executor.resumptions
    assert [outcome.invocation_id for outcome in resumption.reply.outcomes] == [child]


def test_a_cancellation_whose_notice_was_lost_is_found() -> None:
    stage = Stage(slots=1)
    (running,) = stage.submit()
    stage.settle()

    stage.store.after.append(StoreUnavailable("the reply is lost"))
    run(stage.backend.orchestrator.cancel([running]))
    stage.pass_time(2.0)

    assert stage.executor.stops == [(running, StopReason.CANCEL)]


def test_an_outcome_whose_notice_was_lost_is_asked_for_again() -> None:
    stage = Stage(slots=2)
    parent, child = stage.submit(2)
    stage.settle()
    claim = stage.executor.claim_of(parent)
    stage.executor.events.append(WatchWanted(parent, claim.epoch, (child,)))
    stage.settle()

    stage.store.after.append(StoreUnavailable("the reply is lost"))
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.pass_time(2.0)

    assert [item.outcomes[0].invocation_id for item in stage.executor.observations] == [child]


def test_a_lost_session_gives_up_everything_and_begins_anew() -> None:
    stage = Stage(slots=2)
    running, done = stage.submit(2)
    stage.settle()
    old = stage.session
    overtaken = stage.executor.claim_of(done)

    # A pause longer than the lease, during which somebody recovers the session.
    stage.clock.advance(60.0)
    run(stage.backend.orchestrator.tick(budget=100))
    stage.executor.succeed(overtaken)
    stage.pass_time(1.0)

    assert stage.session != old
    assert running in stage.executor.abandoned
    assert {claim.invocation_id for claim in stage.executor.claims} == {running, done}
    assert {claim.epoch for claim in stage.executor.claims} == {2}
    assert stage.status(done) == "pending"


def test_a_runner_whose_store_was_moved_while_it_slept_gives_its_runs_up_and_can_be_stopped() -> None:
    stage = Stage(slots=1)
    (running,) = stage.submit()
    stage.settle()
    stage.executor.begin(stage.executor.claim_of(running))

    # A pause longer than the lease, during which somebody recovers the session and moves everything.
    stage.clock.advance(60.0)
    run(stage.backend.orchestrator.tick(budget=100))
    Move(stage.backend, MemoryBackend(clock=stage.clock)).carry()
    stage.pass_time(5.0)
    given_up = set(stage.executor.abandoned)
    stage.loop.drain(0.0)
    stage.pass_time(60.0)

    assert given_up == {running}
    assert stage.over


def test_a_store_that_says_the_session_is_gone_costs_nothing_that_was_recorded() -> None:
    stage = Stage(slots=1)
    first, second = stage.submit(2)
    stage.settle()
    stage.executor.succeed(stage.executor.claim_of(first))
    stage.settle()

    run(stage.backend.orchestrator.close_session(stage.session))
    stage.store.before.append(SessionGone("closed by somebody"))
    stage.pass_time(5.0)

    assert stage.status(first) == "success"
    assert stage.executor.claim_of(second).epoch == 2


def test_an_unexpected_error_while_a_session_is_opened_anew_ends_no_runner() -> None:
    stage = Stage(slots=1)
    (waiting,) = stage.submit()
    stage.settle()

    run(stage.backend.orchestrator.close_session(stage.session))
    stage.store.before.append(SessionGone("closed by somebody"))
    stage.store.elsewhere.append(RuntimeError("a reply that nobody can read"))
    stage.pass_time(5.0)

    assert stage.executor.claim_of(waiting).epoch == 2


# --- the end --------------------------------------------------------------------------------------------


def test_an_unexpected_error_while_a_draining_runner_looks_around_costs_no_body_its_time() -> None:
    stage = Stage(slots=1)
    (parent,), (child,) = stage.submit(), stage.submit(delay_s=3600)
    stage.settle()
    park(stage, stage.executor.claim_of(parent), child)
    stage.store.elsewhere.append(RuntimeError("a reply that nobody can read"))

    stage.loop.drain(30.0)
    stage.settle()

    assert not stage.store.elsewhere
    assert not stage.over


def test_draining_hands_back_what_has_not_started_and_waits_for_the_rest() -> None:
    stage = Stage(slots=1)
    running, unstarted = stage.submit(2)
    stage.settle()
    # A claim ahead, as after a short body.
    stage.executor.slots = 2
    stage.settle()
    stage.executor.slots = 1
    stage.executor.begin(stage.executor.claim_of(running))
    stage.pass_time(0.2)

    stage.loop.drain(30.0)
    stage.settle()
    handed_back = stage.snapshot(unstarted).control
    over_early = stage.over
    stage.executor.succeed(stage.executor.claim_of(running))
    stage.settle()

    assert handed_back is not None
    assert handed_back.attempt == 0
    assert not over_early
    assert stage.over
    assert stage.executor.closed
    assert stage.status(running) == "success"
    assert run(stage.backend.orchestrator.list_sessions()) == []


def test_the_session_tells_how_many_slots_there_are_now_and_only_when_that_changes() -> None:
    stage = Stage(slots=2)
    stage.settle()
    stage.executor.slots = 3

    stage.pass_time(20.0)

    (grown,) = run(stage.backend.orchestrator.list_sessions())
    told = [request.info for request in stage.store.exchanges]
    assert grown.info.slots == 3
    assert [info.slots for info in told if info is not None] == [3]
    assert len(told) > 3


def test_slots_that_changed_while_the_store_was_gone_are_told_afterwards() -> None:
    stage = Stage(slots=2)
    stage.settle()
    stage.executor.slots = 4
    stage.store.before = [StoreUnavailable("gone")]

    stage.pass_time(20.0)

    (row,) = run(stage.backend.orchestrator.list_sessions())
    assert row.info.slots == 4


def test_what_does_not_end_in_time_is_handed_back_uncounted() -> None:
    stage = Stage(slots=1)
    (running,) = stage.submit()
    stage.settle()
    stage.executor.begin(stage.executor.claim_of(running))
    stage.pass_time(0.2)

    stage.loop.drain(5.0)
    stage.pass_time(6.0)

    control = stage.snapshot(running).control
    assert stage.over
    assert control is not None
    assert (control.attempt, control.crashes) == (0, 0)


def test_a_draining_loop_resumes_what_waited_but_claims_nothing_new() -> None:
    stage = Stage(slots=2)
    parent, child = stage.submit(2)
    stage.settle()
    park(stage, stage.executor.claim_of(parent), child)

    stage.loop.drain(30.0)
    (late,) = stage.submit()
    stage.executor.succeed(stage.executor.claim_of(child))
    stage.settle()
    resumed = [item.invocation_id for item in stage.executor.resumptions]
    stage.executor.succeed(stage.executor.claim_of(parent))
    stage.settle()

    assert resumed == [parent]
    assert stage.over
    assert stage.status(late) == "registered"


def test_killing_ends_at_once_and_hands_everything_back() -> None:
    stage = Stage(slots=1)
    (running,) = stage.submit()
    stage.settle()

    stage.loop.kill()
    stage.settle()

    control = stage.snapshot(running).control
    assert stage.over
    assert control is not None
    assert control.attempt == 0


def test_a_completion_of_a_superseded_run_is_dropped() -> None:
    stage = Stage(slots=1)
    (running,) = stage.submit()
    stage.settle()
    claim = stage.executor.claim_of(running)

    stale = Success(invocation_id=running, epoch=type(claim.epoch)(claim.epoch + 5), result=b"stale")
    stage.executor.events.append(Finished(stale))
    stage.executor.succeed(claim)
    stage.settle()

    outcome = stage.snapshot(running).outcome
    assert outcome is not None
    assert outcome.payload == b"done"
