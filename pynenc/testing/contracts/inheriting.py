"""What a waiter waits for goes before it, if the waiter asks for that."""

from __future__ import annotations

from pynenc.model.gates import SlotGate
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import MOST_INHERITING, before
from pynenc.model.records import AfterPolicy, Claim, Exchange, SessionInfo, SessionKind, Suspend, Verdict
from pynenc.testing.contracts.gates import ONE, ORDERED, GatedContract, ids_of, rings
from pynenc.testing.contracts.store import LEASE_US, SECOND_US, Store, StoreContract, submission

OTHER = SlotGate(key="other", limit=5)


def wait_for(store: Store, claim: Claim, *waits: InvocationId, inherit: bool = True) -> None:
    wish = Suspend(invocation_id=claim.invocation_id, epoch=claim.epoch, waits=waits, inherit=inherit)
    assert store.settle(claim.session, wish)[0].verdict is Verdict.ACCEPTED


def rank_of(store: Store, invocation_id: InvocationId) -> int:
    return store.control(invocation_id).rank


class InheritingContract(StoreContract):
    def test_what_is_waited_for_goes_before_the_waiter_and_all_that_came_before(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        old, stranger = store.submit(), store.submit(queue="other")
        wait_for(store, waiter, stranger)

        assert rank_of(store, stranger) == before(waiter.rank)
        assert ids_of(store.claim(runner, want=5)) == [stranger, old]

    def test_without_the_wish_everything_stays_where_it_is(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        old, stranger = store.submit(), store.submit()
        wait_for(store, waiter, stranger, inherit=False)

        assert ids_of(store.claim(runner, want=5)) == [old, stranger]

    def test_what_goes_before_it_already_or_runs_keeps_its_place(self, store: Store) -> None:
        runner = store.runner()
        running = store.running(runner)
        waiter = store.running(runner)
        first = store.submit(band=1)
        ranks = [rank_of(store, each) for each in (first, running.invocation_id)]
        wait_for(store, waiter, first, running.invocation_id)

        assert [rank_of(store, each) for each in (first, running.invocation_id)] == ranks

    def test_it_is_passed_on_to_what_those_wait_for_and_come_after(self, store: Store) -> None:
        runner = store.runner()
        waiter, middle = store.running(runner), store.running(runner)
        old, needed, below, last = (store.submit() for _ in range(4))
        follower = store.submit(after=(below,), after_policy=AfterPolicy.ALL_DONE)
        wait_for(store, middle, needed, follower, inherit=False)
        wait_for(store, waiter, middle.invocation_id)

        claims = store.claim(runner, want=9)

        assert sorted(ids_of(claims[:2])) == sorted([needed, below])
        assert ids_of(claims[2:]) == [old, last]
        store.succeed(next(claim for claim in claims if claim.invocation_id == below))
        assert rank_of(store, follower) == before(waiter.rank)
        assert rank_of(store, middle.invocation_id) == middle.rank

    def test_a_delayed_one_has_the_place_once_it_is_due(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        delayed = store.submit(delay_us=SECOND_US)
        old = store.submit()
        wait_for(store, waiter, delayed)

        store.clock.advance(2)

        assert ids_of(store.claim(runner, want=5)) == [delayed, old]

    def test_not_more_are_looked_at_than_may_be(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        many = [each.invocation_id for each in store.submit_items(*(submission() for _ in range(MOST_INHERITING + 1)))]
        wait_for(store, waiter, *many)

        assert [rank_of(store, each) == before(waiter.rank) for each in many[-2:]] == [True, False]

    def test_a_sleeping_runner_is_rung_for_what_it_may_have_now(self, store: Store) -> None:
        bell = store.orchestrator.doorbell()
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=1, doorbell=bell.address)
        sleeper = store.perform(store.orchestrator.open_session(info, lease_us=LEASE_US))
        waiter = store.running(store.runner())
        stranger = store.submit()
        store.perform(store.orchestrator.exchange(Exchange(session=sleeper, want=1, before=waiter.rank, idle=True)))
        wait_for(store, waiter, stranger)

        assert rings(bell)
        bell.close()


class GatedInheritingContract(GatedContract):
    def test_in_its_lane_too_it_goes_first(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        holder = store.running(runner, gates=(ONE,))
        first, stranger = (store.submit(gates=(ONE,)) for _ in range(2))
        assert store.claim(runner) == []
        wait_for(store, waiter, stranger)

        store.succeed(holder)
        claims = store.claim(runner, want=5)

        assert ids_of(claims) == [stranger]
        store.succeed(claims[0])
        assert ids_of(store.claim(runner, want=5)) == [first]

    def test_the_last_of_a_parked_lane_is_found_behind_its_gate_again(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        holder = store.running(runner, gates=(ONE, OTHER))
        stranger = store.submit(gates=(ONE,))
        assert store.claim(runner) == []
        wait_for(store, waiter, stranger)

        assert store.claim(runner, want=5) == []
        store.succeed(holder)
        assert ids_of(store.claim(runner, want=5)) == [stranger]

    def test_with_an_ordering_key_nothing_overtakes_what_came_before(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner)
        holder = store.running(runner, gates=(ORDERED,))
        first, second = (store.submit(gates=(ORDERED,)) for _ in range(2))
        wait_for(store, waiter, second)

        store.succeed(holder)

        assert ids_of(store.claim(runner, want=5)) == [first]
