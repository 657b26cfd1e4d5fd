"""Waits of those inside a gate: units given back, kept, lent."""

from __future__ import annotations

from typing import Any

from pynenc.model.gates import (
    SlotGate,
)
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    Claim,
    Success,
)
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.gates import HELD, ONE, PARKED, GatedContract, done, fence, ids_of
from pynenc.testing.contracts.store import SECOND_US, Store


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


def _fields(claim: Claim) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in claim.__struct_fields__}
