"""What a closed gate rejects, and ordering keys."""

from __future__ import annotations

from pynenc.model.gates import (
    GateMode,
    SlotGate,
)
from pynenc.model.records import (
    ClaimIdVerdict,
    Retry,
)
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.gates import ONE, ORDERED, GatedContract, done, ids_of
from pynenc.testing.contracts.store import SECOND_US, Store


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
