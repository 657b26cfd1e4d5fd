"""Limits: no more inside than may be, whatever becomes of those inside."""

from __future__ import annotations

from typing import Any

import pytest

from pynenc.errors import InvalidGate
from pynenc.model.gates import (
    BreakerGate,
    RateGate,
    SlotGate,
)
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    Cancelled,
    ClaimIdVerdict,
    Crash,
    Failure,
    ListFilter,
    Release,
    Retry,
    Success,
)
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.gates import ONE, PARKED, TWO, GatedContract, done, fence, ids_of
from pynenc.testing.contracts.store import SECOND_US, Store, submission


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

    def test_all_views_agree_on_what_stands_before_a_closed_gate_until_it_opens(self, store: Store) -> None:
        runner = store.runner()
        holder = store.running(runner, gates=(ONE,))
        stopped = store.submit(gates=(ONE,))
        store.claim(runner)

        before = self._seen_as(store, stopped, PARKED)
        store.succeed(holder)
        after = self._seen_as(store, stopped, InvocationStatus.REGISTERED)

        assert before == (True, [stopped], 1)
        assert after == (True, [stopped], 1)

    def _seen_as(self, store: Store, stopped: InvocationId, status: InvocationStatus) -> tuple[bool, Any, int]:
        """Return whether it has this status, what is listed under it, and how many are counted."""
        listed = store.perform(store.state.listing(ListFilter(statuses=(status,))))
        number = store.perform(store.state.count(statuses=(status,)))
        return store.status(stopped) is status, [each.call.invocation_id for each in listed], number

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
