"""Limits: slots with their holders, ordering keys, borrowing, modes, changes while work runs."""

from __future__ import annotations

from collections.abc import Iterator
from select import select
from typing import Any

import pytest

from pynenc.errors import InvalidGate
from pynenc.io import run
from pynenc.model.gates import (
    BreakerGate,
    Flow,
    GateFact,
    GateMode,
    RateGate,
    RateSetting,
    SlotGate,
    SlotSetting,
)
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    Cancelled,
    Claim,
    ClaimIdVerdict,
    Crash,
    Failure,
    Fence,
    Release,
    Retry,
    SessionInfo,
    SessionKind,
    Success,
)
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend
from pynenc.ports.doorbell import Doorbell
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import LEASE_US, SECOND_US, Perform, Store, StoreContract, submission

ONE = SlotGate(key="k", limit=1)
TWO = SlotGate(key="k", limit=2)
HELD = SlotGate(key="k", limit=1, hold_while_waiting=True)
ORDERED = SlotGate(key="k", limit=1, block_lane_on_retry=True)
PARKED = InvocationStatus.CONCURRENCY_CONTROLLED


def ids_of(claims: list[Claim]) -> list[InvocationId]:
    return [claim.invocation_id for claim in claims]


def fence(claim: Claim) -> Fence:
    return Fence(claim.session, claim.invocation_id, claim.epoch)


def rings(bell: Doorbell) -> bool:
    """Whether a bell rings, or does so soon."""
    ready, _, _ = select([bell.fileno()], [], [], 0.5)
    return bool(ready)


def done(kind: Any, claim: Claim, **fields: Any) -> Any:
    return kind(invocation_id=claim.invocation_id, epoch=claim.epoch, **fields)


class GatedContract(StoreContract):
    """Base of the contracts about gates: left out, by name, for stores that declare none."""

    @pytest.fixture
    def store(self, backend: Backend, perform: Perform, clock: FakeClock) -> Iterator[Store]:
        if not backend.capabilities.gates:
            pytest.skip(f"{backend.url.partition(':')[0]} has no gates")
        yield Store(backend, perform, clock)
        assert run(backend.orchestrator.verify()) == []

    def facts(self, store: Store, invocation_id: InvocationId) -> list[GateFact]:
        standing = store.perform(store.orchestrator.explain(invocation_id))
        assert standing is not None
        return list(standing.gates)

    def put(self, store: Store, setting: Any) -> None:
        store.perform(store.orchestrator.put_gate(setting))


class SlotsContract(GatedContract):
    def test_no_more_run_than_the_limit_says(self, store: Store) -> None:
        ids = [store.submit(gates=(TWO,)) for _ in range(4)]
        runner = store.runner()

        first = store.claim(runner, want=10)

        assert ids_of(first) == ids[:2]
        assert [store.status(each) for each in ids[2:]] == [PARKED, PARKED]

    def test_an_end_lets_the_next_one_in_within_the_same_exchange(self, store: Store) -> None:
        ids = [store.submit(gates=(ONE,)) for _ in range(3)]
        runner = store.runner()
        claim = store.claim_one(runner)
        store.claim(runner)

        reply = store.exchange(runner, completions=(done(Success, claim, result=b""),), want=5)

        assert ids_of(list(reply.claims)) == ids[1:2]

    @pytest.mark.parametrize("how", ["success", "failure", "cancelled", "release", "retry", "crash", "delayed"])
    def test_every_way_out_gives_the_unit_back(self, store: Store, how: str) -> None:
        store.submit(gates=(ONE,), key=2)
        claim, runner = store.claim_one(first := store.runner()), store.runner()
        other = store.submit(gates=(ONE,), key=1)
        assert store.claim(runner) == []

        ends = {
            "success": done(Success, claim, result=b""),
            "failure": done(Failure, claim, error=b""),
            "cancelled": done(Cancelled, claim),
            "release": done(Release, claim),
            "retry": done(Retry, claim, error=b""),
            "crash": done(Crash, claim),
            "delayed": done(Retry, claim, error=b"", delay_us=SECOND_US),
        }
        store.settle(first, ends[how])

        assert ids_of(store.claim(runner, want=5)) == [other]

    def test_a_lost_runner_gives_its_units_back(self, store: Store) -> None:
        lost = store.submit(gates=(ONE,))
        other = store.submit(gates=(ONE,))
        store.claim_one(store.runner())
        assert store.claim(store.runner()) == []

        store.expire_sessions()
        runner = store.runner()

        assert ids_of(store.claim(runner, want=5)) == [lost]
        assert store.status(other) is PARKED

    def test_a_closed_session_gives_its_units_back(self, store: Store) -> None:
        invocation = store.submit(gates=(ONE,))
        runner = store.runner()
        store.claim_one(runner)

        store.perform(store.orchestrator.close_session(runner))

        assert ids_of(store.claim(store.runner())) == [invocation]

    def test_a_closed_gate_stops_only_what_names_it(self, store: Store) -> None:
        store.submit(gates=(ONE,))
        store.submit(gates=(ONE,))
        other = store.submit(gates=(SlotGate(key="other", limit=1),))
        plain = store.submit()
        runner = store.runner()
        store.claim_one(runner)

        assert ids_of(store.claim(runner, want=10)) == [other, plain]

    def test_two_gates_have_to_be_open_at_once(self, store: Store) -> None:
        left, right = SlotGate(key="left", limit=1), SlotGate(key="right", limit=1)
        runner = store.runner()
        a, b = (store.running(runner, gates=(gate,)) for gate in (left, right))
        both = store.submit(gates=(right, left))
        assert store.claim(runner) == []

        store.succeed(a)
        between = store.claim(runner)
        store.succeed(b)

        assert between == []
        assert ids_of(store.claim(runner)) == [both]

    def test_a_unit_that_one_cannot_use_goes_to_the_next(self, store: Store) -> None:
        runner = store.runner()
        left = store.running(runner, gates=(SlotGate(key="left", limit=1),))
        right = store.running(runner, gates=(SlotGate(key="right", limit=1),))
        both = store.submit(gates=(SlotGate(key="left", limit=1), SlotGate(key="right", limit=1)))
        one = store.submit(gates=(SlotGate(key="left", limit=1),))
        assert store.claim(runner, want=5) == []

        store.succeed(left)

        assert ids_of(store.claim(runner, want=5)) == [one]
        store.succeed(right)
        assert store.claim(runner, want=5) == []
        assert store.status(both) is PARKED

    def test_a_gate_is_shared_by_queues_and_neither_waits_for_an_unserved_one(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,), queue="a")
        unserved, served = store.submit(gates=(ONE,), queue="b"), store.submit(gates=(ONE,), queue="c")
        assert store.claim(runner, want=5) == []

        store.succeed(holder)
        claims = store.claim(runner, want=5, queues=("c",))

        assert ids_of(claims) == [served]
        assert store.claim(runner, want=5, queues=("b",)) == []
        assert store.status(unserved) is PARKED

    def test_what_comes_first_by_rank_is_let_in_first(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        late, early = store.submit(gates=(ONE,), key=9), store.submit(gates=(ONE,), key=5)
        assert store.claim(runner, want=5) == []
        first = store.submit(gates=(ONE,), key=2)

        order = []
        for _ in range(3):
            store.succeed(holder)
            holder = store.claim_one(runner)
            order.append(holder.invocation_id)

        assert order == [first, early, late]

    def test_parked_work_can_be_cancelled_and_expires(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        cancelled, expiring = store.submit(gates=(ONE,)), store.submit(gates=(ONE,), expires_us=SECOND_US)
        last = store.submit(gates=(ONE,))
        assert store.claim(runner) == []

        store.perform(store.orchestrator.cancel([cancelled]))
        store.clock.advance(2)
        store.tick()
        store.succeed(holder)

        assert store.status(cancelled) is InvocationStatus.CANCELLED
        assert store.status(expiring) is InvocationStatus.EXPIRED
        assert ids_of(store.claim(runner, want=5)) == [last]

    def test_the_end_of_one_that_tries_lets_another_one_try(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE, SlotGate(key="a", limit=9)))
        tries = store.submit(gates=(ONE, SlotGate(key="b", limit=9)))
        last = store.submit(gates=(ONE,))
        assert store.claim(runner, want=5) == []
        store.succeed(holder)

        store.perform(store.orchestrator.cancel([tries]))

        assert ids_of(store.claim(runner, want=5)) == [last]

    def test_delayed_work_waits_for_its_time_and_then_for_its_gate(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        delayed = store.submit(gates=(ONE,), delay_us=SECOND_US)
        store.clock.advance(1)

        assert store.claim(runner) == []
        assert store.status(delayed) is PARKED
        store.succeed(holder)
        assert ids_of(store.claim(runner)) == [delayed]

    def test_a_closed_gate_makes_a_claim_by_id_busy(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        invocation = store.submit(gates=(ONE,))

        (busy,) = store.perform(store.orchestrator.claim_ids(runner, [invocation]))
        store.succeed(holder)
        (claimed,) = store.perform(store.orchestrator.claim_ids(runner, [invocation]))

        assert (busy.verdict, claimed.verdict) == (ClaimIdVerdict.BUSY, ClaimIdVerdict.CLAIMED)

    def test_claims_limited_to_what_somebody_needs_pass_over_closed_gates(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.running(runner, gates=(ONE,))
        stopped = store.submit(gates=(ONE,), parent=fence(parent))
        free = store.submit(parent=fence(parent))

        claims = store.exchange(runner, want=5, awaited=True).claims

        assert ids_of(list(claims)) == [free]
        assert store.status(stopped) is InvocationStatus.REGISTERED

    def test_a_paused_queue_keeps_its_gated_work_too(self, store: Store) -> None:
        runner = store.runner()
        invocation = store.submit(gates=(ONE,), queue="a")
        store.perform(store.orchestrator.pause("a"))
        assert store.claim(runner) == []

        store.perform(store.orchestrator.resume("a"))

        assert ids_of(store.claim(runner)) == [invocation]

    def test_requeued_work_passes_its_gates_again(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner, gates=(ONE,))
        store.settle(runner, done(Failure, claim, error=b""))
        store.running(runner, gates=(ONE,))

        store.perform(store.orchestrator.requeue([claim.invocation_id]))

        assert store.claim(runner) == []
        assert store.status(claim.invocation_id) is PARKED

    def test_a_call_that_meets_many_closed_gates_says_that_there_is_more(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(ONE,))
        store.submit_items(
            *(submission(gates=(ONE, SlotGate(key=f"other {number}", limit=1))) for number in range(300))
        )
        plain = store.submit()

        first, second = (store.exchange(runner, want=5) for _ in range(2))

        assert (first.claims, first.more) == ((), True)
        assert (ids_of(list(second.claims)), second.more) == ([plain], False)

    def test_statistics_tell_what_is_blocked(self, store: Store) -> None:
        runner = store.runner()
        for _ in range(3):
            store.submit(gates=(ONE,))
        store.claim_one(runner)
        store.claim(runner)
        store.submit()

        (stats,) = store.perform(store.orchestrator.queue_stats())

        assert (stats.ready, stats.blocked, stats.running) == (1, 2, 1)

    def test_an_explanation_names_the_closed_gate_and_who_is_inside_since_when(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        since_us = store.clock() - SECOND_US
        store.clock.advance(0)
        invocation = store.submit(gates=(ONE,))
        store.claim(runner)

        (fact,) = self.facts(store, invocation)
        (own,) = self.facts(store, holder.invocation_id)

        assert (fact.name, fact.closed, fact.parked, fact.limit) == ("slots:k", True, True, 1)
        assert [(each.invocation_id, each.task_id) for each in fact.holders] == [(holder.invocation_id, "tests.task")]
        assert since_us <= fact.holders[0].since_us <= store.clock()
        assert store.control(invocation).gate == "slots:k"
        assert not own.closed

    @pytest.mark.parametrize(
        "gates",
        [
            (SlotGate(key="k", limit=0),),
            (SlotGate(key="", limit=1),),
            (ONE, TWO),
            (RateGate(key="k", interval_us=0),),
            (RateGate(key="k", interval_us=1, burst=0),),
            (BreakerGate(key="k", failures=0, open_for_us=1),),
            tuple(SlotGate(key=f"{number}", limit=1) for number in range(9)),
        ],
    )
    def test_gates_that_make_no_sense_are_refused_and_nothing_is_created(self, store: Store, gates: Any) -> None:
        good, bad = submission(), submission(gates=gates)

        with pytest.raises(InvalidGate):
            store.submit_items(good, bad)

        assert store.status(good.invocation_id) is None

    def test_purging_everything_forgets_who_was_inside(self, store: Store) -> None:
        store.running(store.runner(), gates=(ONE,))
        store.submit(gates=(ONE,))

        store.perform(store.state.purge())
        invocation = store.submit(gates=(ONE,))

        assert ids_of(store.claim(store.runner(), want=5)) == [invocation]

    def test_who_comes_first_by_rank_tries_beside_those_that_try_already(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        other = SlotGate(key="other", limit=9)
        late, parked = store.submit(gates=(ONE, other), key=9), store.submit(gates=(ONE,), key=10)
        assert store.claim(runner, want=5) == []
        store.succeed(holder)

        first = store.submit(gates=(ONE,), key=1)
        bound = store.control(first).rank + 1
        claims = store.exchange(runner, want=5, before=bound).claims

        assert ids_of(list(claims)) == [first]
        assert {store.status(late), store.status(parked)} <= {PARKED, InvocationStatus.REGISTERED}


class RejectingContract(GatedContract):
    REJECTING = SlotGate(key="k", limit=1, mode=GateMode.REJECT)

    def test_a_closed_gate_ends_what_it_rejects_and_the_claim_goes_on(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(self.REJECTING,))
        rejected, plain = store.submit(gates=(self.REJECTING,)), store.submit()

        claims = store.claim(runner)

        assert ids_of(claims) == [plain]
        outcome = store.outcome(rejected)
        assert outcome.status is InvocationStatus.CONCURRENCY_CONTROLLED_FINAL
        assert outcome.reason == "slots:k was closed"

    def test_a_claim_by_id_rejects_too(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(self.REJECTING,))
        rejected = store.submit(gates=(self.REJECTING,))

        (reply,) = store.perform(store.orchestrator.claim_ids(runner, [rejected]))

        assert reply.verdict is ClaimIdVerdict.FINAL
        assert store.status(rejected) is InvocationStatus.CONCURRENCY_CONTROLLED_FINAL

    def test_who_waits_for_it_goes_on(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(self.REJECTING,))
        waiter = store.running(runner)
        rejected = store.submit(gates=(self.REJECTING,))
        store.suspend(waiter, rejected)

        store.claim(runner)

        assert [each.invocation_id for each in store.resumed(runner)] == [waiter.invocation_id]

    def test_what_parks_and_what_is_rejected_share_the_gate(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        parks, rejected = store.submit(gates=(ONE,)), store.submit(gates=(self.REJECTING,))
        store.claim(runner, want=5)
        store.succeed(holder)

        assert store.status(rejected) is InvocationStatus.CONCURRENCY_CONTROLLED_FINAL
        assert ids_of(store.claim(runner, want=5)) == [parks]


class OrderingContract(GatedContract):
    def test_a_delayed_retry_is_overtaken_by_nothing_of_its_key(self, store: Store) -> None:
        runner = store.runner()
        first, second = store.submit(gates=(ORDERED,)), store.submit(gates=(ORDERED,))
        claim = store.claim_one(runner)
        store.settle(runner, done(Retry, claim, error=b"", delay_us=5 * SECOND_US))

        between = store.claim(runner, want=5)
        store.clock.advance(5)
        store.tick()
        again = store.claim(runner, want=5)

        assert between == []
        assert ids_of(again) == [first]
        store.succeed(again[0])
        assert ids_of(store.claim(runner, want=5)) == [second]

    def test_what_lost_its_runner_comes_first_again(self, store: Store) -> None:
        ids = [store.submit(gates=(ORDERED,)) for _ in range(3)]
        store.claim_one(store.runner())
        assert store.claim(store.runner()) == []

        store.expire_sessions()

        assert ids_of(store.claim(store.runner(), want=5)) == ids[:1]

    def test_a_claim_by_id_does_not_overtake(self, store: Store) -> None:
        first, second = store.submit(gates=(ORDERED,)), store.submit(gates=(ORDERED,))

        replies = store.perform(store.orchestrator.claim_ids(store.runner(), [second, first]))

        assert [reply.verdict for reply in replies] == [ClaimIdVerdict.BUSY, ClaimIdVerdict.CLAIMED]

    def test_cancelling_a_delayed_retry_lets_the_next_one_in(self, store: Store) -> None:
        runner = store.runner()
        first, second = store.submit(gates=(ORDERED,)), store.submit(gates=(ORDERED,))
        claim = store.claim_one(runner)
        store.settle(runner, done(Retry, claim, error=b"", delay_us=5 * SECOND_US))
        assert store.claim(runner) == []

        store.perform(store.orchestrator.cancel([first]))

        assert ids_of(store.claim(runner)) == [second]


class WaitingInsideContract(GatedContract):
    def waiting(self, store: Store, runner: SessionId, gate: SlotGate, **child: Any) -> tuple[Claim, InvocationId]:
        """Let a run inside a gate wait for a child."""
        claim = store.running(runner, gates=(gate,))
        awaited = store.submit(parent=fence(claim), **child)
        store.suspend(claim, awaited)
        return claim, awaited

    def test_who_waits_gives_its_unit_back(self, store: Store) -> None:
        runner = store.runner()
        self.waiting(store, runner, ONE, delay_us=SECOND_US)
        other = store.submit(gates=(ONE,))

        assert ids_of(store.claim(runner)) == [other]

    def test_it_takes_a_unit_again_before_it_goes_on(self, store: Store) -> None:
        runner = store.runner()
        waiter, child = self.waiting(store, runner, ONE)
        store.claim_one(runner)
        store.submit(gates=(ONE,))
        other = store.claim_one(runner)
        (control,) = [store.control(child)]
        store.succeed(Claim(**{**_fields(other), "invocation_id": child, "epoch": control.epoch}))

        stopped = store.resumed(runner)
        where = store.control(waiter.invocation_id).gate
        store.succeed(other)

        assert (stopped, where) == ([], "slots:k")
        assert store.status(waiter.invocation_id) is InvocationStatus.PAUSED
        assert [each.invocation_id for each in store.resumed(runner)] == [waiter.invocation_id]
        assert store.control(waiter.invocation_id).gate is None

    def test_a_freed_unit_is_kept_for_who_goes_on(self, store: Store) -> None:
        owner, other = store.runner(), store.runner()
        waiter, child = self.waiting(store, owner, ONE)
        running = store.claim_one(other)
        store.submit(gates=(ONE,))
        inside = store.claim_one(other)
        store.succeed(running)
        assert child == running.invocation_id
        assert store.resumed(owner) == []
        new = store.submit(gates=(ONE,), key=0)

        reply = store.exchange(other, completions=(done(Success, inside, result=b""),), want=5)

        assert reply.claims == ()
        assert [each.invocation_id for each in store.resumed(owner)] == [waiter.invocation_id]
        assert store.claim(other) == []
        assert store.status(new) is PARKED

    def test_what_is_kept_for_a_lost_session_is_free_again(self, store: Store) -> None:
        owner, other = store.runner(), store.runner()
        waiter, _ = self.waiting(store, owner, ONE)
        running = store.claim_one(other)
        store.submit(gates=(ONE,))
        inside = store.claim_one(other)
        store.succeed(running)
        store.resumed(owner)
        store.succeed(inside)

        store.expire_sessions()

        assert ids_of(store.claim(store.runner(), want=5)) == [waiter.invocation_id]

    def test_who_holds_while_it_waits_keeps_others_out(self, store: Store) -> None:
        runner = store.runner()
        self.waiting(store, runner, HELD, delay_us=SECOND_US)
        store.submit(gates=(HELD,))

        assert store.claim(runner) == []

    def test_what_was_submitted_below_passes_on_its_unit_and_gives_it_back(self, store: Store) -> None:
        runner = store.runner()
        waiter, child = self.waiting(store, runner, HELD, gates=(HELD,))
        stranger = store.submit(gates=(HELD,), key=0)

        (inside,) = store.claim(runner, want=5)
        holders = [each.invocation_id for each in self.facts(store, stranger)[0].holders]
        store.succeed(inside)
        resumed = store.resumed(runner)
        store.succeed(waiter)

        assert (inside.invocation_id, holders) == (child, [child])
        assert [each.invocation_id for each in resumed] == [waiter.invocation_id]
        assert ids_of(store.claim(runner, want=5)) == [stranger]

    def test_grandchildren_borrow_what_was_borrowed(self, store: Store) -> None:
        runner = store.runner()
        waiter, child = self.waiting(store, runner, HELD, gates=(HELD,))
        middle = store.claim_one(runner)
        store.start(middle)
        grandchild = store.submit(parent=fence(middle), gates=(HELD,))
        store.suspend(middle, grandchild)

        last = store.claim_one(runner)
        store.succeed(last)
        first = store.resumed(runner)
        store.succeed(middle)
        second = store.resumed(runner)

        assert (middle.invocation_id, last.invocation_id) == (child, grandchild)
        assert [each.invocation_id for each in first] == [middle.invocation_id]
        assert [each.invocation_id for each in second] == [waiter.invocation_id]

    def test_what_was_borrowed_twice_goes_back_twice(self, store: Store) -> None:
        runner = store.runner()
        waiter, child = self.waiting(store, runner, HELD, gates=(HELD,))
        middle = store.claim_one(runner)
        store.start(middle)
        grandchild = store.submit(parent=fence(middle), gates=(HELD,))
        store.suspend(middle, grandchild)
        store.succeed(store.claim_one(runner))
        store.resumed(runner)
        stranger = store.submit(gates=(HELD,), key=0)

        store.succeed(middle)

        assert middle.invocation_id == child
        assert store.claim(store.runner()) == []
        assert store.status(stranger) is PARKED
        assert [each.invocation_id for each in store.resumed(runner)] == [waiter.invocation_id]

    def test_who_runs_lends_nothing(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner, gates=(HELD,))
        store.submit(parent=fence(claim), gates=(HELD,))

        assert store.claim(runner, want=5) == []

    def test_one_unit_is_lent_to_one_at_a_time(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner, gates=(HELD,))
        children = [store.submit(parent=fence(claim), gates=(HELD,)) for _ in range(2)]
        store.suspend(claim, *children)

        (first,) = store.claim(runner, want=5)
        store.succeed(first)
        (second,) = store.claim(runner, want=5)

        assert ids_of([first, second]) == children

    def test_who_lent_its_unit_goes_on_only_once_it_is_back(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner, gates=(HELD,))
        borrower = store.submit(parent=fence(claim), gates=(HELD,))
        quick = store.submit(parent=fence(claim))
        store.suspend(claim, borrower, quick, need=1)
        inside, other = store.claim(runner, want=5)
        store.succeed(other)

        early = store.resumed(runner)
        store.succeed(inside)

        assert early == []
        assert [each.invocation_id for each in store.resumed(runner)] == [claim.invocation_id]

    def test_a_unit_that_was_lent_is_free_once_nobody_wants_it_back(self, store: Store) -> None:
        runner = store.runner()
        waiter, child = self.waiting(store, runner, HELD, gates=(HELD,))
        inside = store.claim_one(runner)
        stranger = store.submit(gates=(HELD,))
        store.perform(store.orchestrator.cancel([waiter.invocation_id]))

        assert store.claim(runner) == []
        store.succeed(inside)
        assert inside.invocation_id == child
        assert ids_of(store.claim(runner)) == [stranger]

    def test_strangers_do_not_borrow(self, store: Store) -> None:
        runner = store.runner()
        self.waiting(store, runner, HELD, delay_us=SECOND_US)
        other = store.running(runner)
        store.submit(parent=fence(other), gates=(HELD,))

        assert store.claim(runner) == []


class LiveLimitsContract(GatedContract):
    def test_a_raised_limit_lets_more_in(self, store: Store) -> None:
        ids = [store.submit(gates=(ONE,)) for _ in range(4)]
        runner = store.runner()
        store.claim(runner, want=5)

        self.put(store, SlotSetting("k", 3))

        assert ids_of(store.claim(runner, want=5)) == ids[1:3]

    def test_a_raised_limit_lets_several_lanes_out(self, store: Store) -> None:
        ids = [store.submit(gates=(ONE, SlotGate(key=f"{number}", limit=1))) for number in range(4)]
        runner = store.runner()
        store.claim(runner, want=9)

        self.put(store, SlotSetting("k", 3))
        statuses = [store.status(each) for each in ids[1:]]

        assert statuses == [InvocationStatus.REGISTERED, InvocationStatus.REGISTERED, PARKED]
        assert ids_of(store.claim(runner, want=9)) == ids[1:3]

    def test_a_lowered_limit_drives_nobody_out_but_lets_nobody_in(self, store: Store) -> None:
        runner = store.runner()
        first, second = (store.running(runner, gates=(TWO,)) for _ in range(2))
        waiting = store.submit(gates=(TWO,))

        self.put(store, SlotSetting("k", 1))
        store.succeed(first)
        between = store.claim(runner)
        store.succeed(second)

        assert between == []
        assert ids_of(store.claim(runner)) == [waiting]

    def test_a_limit_that_was_set_holds_until_it_is_cleared(self, store: Store) -> None:
        self.put(store, SlotSetting("k", 0))
        invocation = store.submit(gates=(TWO,))
        runner = store.runner()

        stopped = store.claim(runner)
        listed = store.perform(store.orchestrator.list_gates())
        cleared = [store.perform(store.orchestrator.clear_gate("slots:k")) for _ in range(2)]

        assert (stopped, listed, cleared) == ([], [SlotSetting("k", 0)], [True, False])
        assert ids_of(store.claim(runner)) == [invocation]

    def test_settings_that_make_no_sense_are_refused(self, store: Store) -> None:
        for setting in (SlotSetting("k", -1), RateSetting("k", 0, 1), RateSetting("k", 1, 0)):
            with pytest.raises(InvalidGate):
                self.put(store, setting)

        assert store.perform(store.orchestrator.list_gates()) == []

    def test_a_raised_rate_lets_what_waits_in_sooner(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(RateGate(key="k", interval_us=100 * SECOND_US),))
        waiting = store.submit(gates=(RateGate(key="k", interval_us=100 * SECOND_US),))
        assert store.claim(runner) == []

        self.put(store, RateSetting("k", 100 * SECOND_US, 2))

        assert ids_of(store.claim(runner)) == [waiting]


class RatesContract(GatedContract):
    RATE = RateGate(key="k", interval_us=SECOND_US, burst=2)

    def test_starts_come_in_a_burst_and_then_one_by_one(self, store: Store) -> None:
        ids = [store.submit(gates=(self.RATE,)) for _ in range(6)]
        runner = store.runner()

        waves = []
        for _ in range(3):
            waves.append(ids_of(store.claim(runner, want=10)))
            store.clock.advance(1)

        assert waves == [ids[:2], ids[2:3], ids[3:4]]

    def test_the_timer_of_a_gate_is_due_when_it_opens(self, store: Store) -> None:
        for _ in range(3):
            store.submit(gates=(self.RATE,))
        runner = store.runner()
        store.claim(runner, want=10)

        assert store.exchange(runner).next_due_us == SECOND_US
        store.clock.advance(1)
        assert store.tick() == 1
        assert store.tick() == 0

    def test_an_end_frees_nothing_and_each_attempt_counts(self, store: Store) -> None:
        runner = store.runner()
        gate = RateGate(key="k", interval_us=SECOND_US)
        claim = store.running(runner, gates=(gate,))

        store.settle(runner, done(Retry, claim, error=b""))
        between = store.claim(runner)
        store.clock.advance(1)

        assert between == []
        assert ids_of(store.claim(runner)) == [claim.invocation_id]

    def test_rates_may_reject(self, store: Store) -> None:
        gate = RateGate(key="k", interval_us=SECOND_US, mode=GateMode.REJECT)
        runner = store.runner()
        store.running(runner, gates=(gate,))
        rejected = store.submit(gates=(gate,))

        assert store.claim(runner) == []
        assert store.outcome(rejected).reason == "rate:k was closed"

    def test_an_explanation_tells_when_it_opens(self, store: Store) -> None:
        runner = store.runner()
        gate = RateGate(key="k", interval_us=3 * SECOND_US)
        store.running(runner, gates=(gate,))
        invocation = store.submit(gates=(gate,))
        store.clock.advance(1)

        (fact,) = self.facts(store, invocation)

        assert (fact.closed, fact.opens_at_us) == (True, store.clock() + 2 * SECOND_US)

    def test_going_on_after_a_wait_is_no_start(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner, gates=(RateGate(key="k", interval_us=100 * SECOND_US),))
        child = store.submit()
        store.suspend(waiter, child)
        store.succeed(store.claim_one(runner))

        assert [each.invocation_id for each in store.resumed(runner)] == [waiter.invocation_id]


class BreakersContract(GatedContract):
    GATE = BreakerGate(key="task", failures=2, open_for_us=5 * SECOND_US)

    def fail(self, store: Store, runner: SessionId, kind: Any = Failure) -> None:
        claim = store.running(runner, gates=(self.GATE,))
        fields = {} if kind is Crash else {"error": b""}
        store.settle(runner, done(kind, claim, **fields))

    def test_failures_in_a_row_close_it_and_time_lets_one_trial_run_in(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner)
        ids = [store.submit(gates=(self.GATE,)) for _ in range(3)]

        closed = store.claim(runner, want=5)
        store.clock.advance(5)
        trial = store.claim(runner, want=5)
        store.succeed(trial[0])

        assert closed == []
        assert ids_of(trial) == ids[:1]
        assert ids_of(store.claim(runner, want=5)) == ids[1:]

    def test_a_trial_run_that_fails_closes_it_again(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner)
        since_us = store.clock()
        ids = [store.submit(gates=(self.GATE,)) for _ in range(2)]
        store.clock.advance(5)
        trial = store.claim_one(runner)

        store.settle(runner, done(Failure, trial, error=b""))
        (fact,) = self.facts(store, ids[1])
        between = store.claim(runner)
        store.clock.advance(5)

        assert between == []
        assert (fact.failures, fact.open_since_us, fact.opens_at_us) == (3, since_us, store.clock())
        assert ids_of(store.claim(runner, want=5)) == ids[1:]

    def test_a_trial_run_that_is_lost_lets_another_one_in(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner)
        invocation = store.submit(gates=(self.GATE,))
        store.clock.advance(5)
        store.claim_one(runner)

        store.expire_sessions()

        assert ids_of(store.claim(store.runner(), want=5)) == [invocation]

    def test_a_success_between_starts_the_count_anew(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        store.succeed(store.running(runner, gates=(self.GATE,)))
        self.fail(store, runner)

        assert len(store.claim(runner)) == 0
        store.running(runner, gates=(self.GATE,))

    @pytest.mark.parametrize("kind", [Retry, Crash])
    def test_failed_attempts_count_whether_or_not_they_are_repeated(self, store: Store, kind: Any) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner, kind)

        assert store.claim(runner) == []

    def test_what_began_before_it_closed_decides_nothing(self, store: Store) -> None:
        runner = store.runner()
        early = store.running(runner, gates=(self.GATE,))
        self.fail(store, runner)
        self.fail(store, runner)
        store.submit(gates=(self.GATE,))

        store.succeed(early)

        assert store.claim(runner) == []


class WakingContract(GatedContract):
    def sleeper(self, store: Store) -> tuple[SessionId, Doorbell]:
        bell = store.orchestrator.doorbell()
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=1, doorbell=bell.address)
        return store.perform(store.orchestrator.open_session(info, lease_us=LEASE_US)), bell

    def test_a_freed_unit_wakes_a_sleeper(self, store: Store) -> None:
        busy = store.runner()
        holder = store.running(busy, gates=(ONE,))
        waiting = store.submit(gates=(ONE,))
        sleeper, bell = self.sleeper(store)
        assert store.exchange(sleeper, want=1, idle=True).claims == ()

        store.succeed(holder)

        assert rings(bell)
        assert ids_of(store.claim(sleeper)) == [waiting]

    def test_who_took_all_it_wanted_wakes_another_one_for_the_rest(self, store: Store) -> None:
        busy = store.runner()
        store.running(busy, gates=(ONE,))
        ids = [store.submit(gates=(ONE,)) for _ in range(3)]
        (first, first_bell), (second, second_bell) = self.sleeper(store), self.sleeper(store)
        for session in (first, second):
            assert store.exchange(session, want=1, idle=True).claims == ()

        self.put(store, SlotSetting("k", 9))
        woken = [rings(first_bell), rings(second_bell)]
        claims = store.claim(first)

        assert woken == [True, False]
        assert ids_of(claims) == ids[:1]
        assert rings(second_bell)


class FlowsContract(GatedContract):
    def shares(self, store: Store, want: int, **weights: int) -> dict[str, int]:
        """Return how many of each flow are claimed first, of many."""
        flows: dict[InvocationId, str] = {}
        for name, weight in weights.items():
            for _ in range(want):
                flows[store.submit(flow=Flow(name, weight))] = name
        claims = store.claim(store.runner(), want=want)
        started = [flows[claim.invocation_id] for claim in claims]
        return {name: started.count(name) for name in weights}

    def test_flows_with_equal_weights_take_turns(self, store: Store) -> None:
        assert self.shares(store, 30, a=1, b=1, c=1) == {"a": 10, "b": 10, "c": 10}

    def test_flows_get_starts_in_proportion_to_their_weights(self, store: Store) -> None:
        assert self.shares(store, 40, a=1, b=3) == {"a": 10, "b": 30}

    def test_a_flow_that_comes_late_does_not_catch_up(self, store: Store) -> None:
        early = [store.submit(flow=Flow("early")) for _ in range(10)]
        runner = store.runner()
        store.claim(runner, want=4)
        late = [store.submit(flow=Flow("late")) for _ in range(10)]

        claims = ids_of(store.claim(runner, want=6))

        assert sorted(claims) == sorted([*early[4:7], *late[:3]])

    def test_within_a_flow_rank_decides(self, store: Store) -> None:
        second, first = store.submit(flow=Flow("a"), key=5), store.submit(flow=Flow("a"), key=1)

        assert ids_of(store.claim(store.runner(), want=2)) == [first, second]

    def test_a_band_goes_before_every_share(self, store: Store) -> None:
        store.submit(flow=Flow("a"))
        urgent = store.submit(flow=Flow("b"), band=1)

        assert ids_of(store.claim(store.runner(), want=1)) == [urgent]

    def test_a_flow_before_a_closed_gate_leaves_its_turn_to_others(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(ONE,))
        stopped = store.submit(flow=Flow("a"), gates=(ONE,))
        other, free = store.submit(flow=Flow("b")), store.submit(flow=Flow("a"))

        assert sorted(ids_of(store.claim(runner, want=5))) == sorted([other, free])
        assert store.status(stopped) is PARKED


def _fields(claim: Claim) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in claim.__struct_fields__}
