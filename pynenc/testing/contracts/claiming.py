"""What claims promise."""

from __future__ import annotations

import pytest

from pynenc.errors import SessionGone
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import ClaimIdVerdict, Crash, Fence, Retry
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract, submission


class ClaimingContract(StoreContract):
    def test_work_is_claimed_in_order_of_submission(self, store: Store) -> None:
        submitted = [store.submit() for _ in range(5)]

        claims = store.claim(store.runner(), want=10)

        assert [claim.invocation_id for claim in claims] == submitted

    def test_bands_go_before_keys_and_keys_before_sequence(self, store: Store) -> None:
        late = store.submit(band=200)
        plain = store.submit()
        keyed = store.submit(key=5)
        first = store.submit(band=1)

        claims = store.claim(store.runner(), want=10)

        assert [claim.invocation_id for claim in claims] == [first, keyed, plain, late]

    def test_over_several_queues_the_oldest_comes_first(self, store: Store) -> None:
        a, b, c = store.submit(queue="a"), store.submit(queue="b"), store.submit(queue="a")
        store.submit(queue="other")

        claims = store.claim(store.runner(), want=10, queues=("b", "a"))

        assert [claim.invocation_id for claim in claims] == [a, b, c]

    def test_without_queues_everything_but_other_languages_is_claimed(self, store: Store) -> None:
        mine = [store.submit(queue="a"), store.submit(queue="b")]
        store.submit(queue="rust:a")

        assert [claim.invocation_id for claim in store.claim(store.runner(), want=10)] == mine

    def test_a_claim_carries_all_a_runner_needs(self, store: Store) -> None:
        invocation = store.submit(task_id="m.f", arguments=b"a", policy=b"p", meta=b"m", queue="q")
        runner = store.runner()

        claim = store.claim_one(runner)

        assert (claim.invocation_id, claim.session, claim.epoch, claim.attempt) == (invocation, runner, 1, 1)
        assert (claim.task_id, claim.arguments, claim.policy, claim.meta, claim.queue) == ("m.f", b"a", b"p", b"m", "q")
        assert store.status(invocation) is InvocationStatus.PENDING

    def test_what_travels_with_an_invocation_is_handed_out_with_every_claim(self, store: Store) -> None:
        carried = bytes(range(256)) * 16
        invocation = store.submit(meta=carried)
        runner = store.runner()
        retried = store.claim_one(runner)
        store.settle(runner, Retry(invocation_id=invocation, epoch=retried.epoch, error=b"e"))
        crashed = store.claim_one(runner)
        store.settle(runner, Crash(invocation_id=invocation, epoch=crashed.epoch))
        last = store.claim_one(runner)
        store.succeed(last)

        assert [claim.meta for claim in (retried, crashed, last)] == [carried] * 3
        assert store.snapshot(invocation).call.meta == carried

    def test_what_is_claimed_is_claimed_once(self, store: Store) -> None:
        store.submit()

        first, second = store.claim(store.runner()), store.claim(store.runner())

        assert (len(first), second) == (1, [])

    def test_no_more_than_wanted_is_claimed(self, store: Store) -> None:
        for _ in range(5):
            store.submit()
        runner = store.runner()

        assert len(store.claim(runner, want=0)) == 0
        assert len(store.claim(runner, want=3)) == 3
        assert len(store.claim(runner, want=3)) == 2

    def test_a_draining_runner_claims_nothing_new(self, store: Store) -> None:
        store.submit()

        assert store.exchange(store.runner(), want=5, claim_new=False).claims == ()

    def test_a_started_invocation_is_running_on_its_worker(self, store: Store) -> None:
        runner = store.runner()
        store.submit()
        claim = store.claim_one(runner)
        store.clock.advance(1)

        store.start(claim, worker=77)

        control = store.control(claim.invocation_id)
        assert store.status(claim.invocation_id) is InvocationStatus.RUNNING
        assert (control.worker, control.started_at_us) == (77, store.clock())

    def test_expired_work_does_not_use_up_a_claim(self, store: Store) -> None:
        store.submit(expires_us=SECOND_US)
        good = store.submit()
        runner = store.runner()
        store.clock.advance(2)

        claims = store.exchange(runner, want=1, tick_budget=0).claims

        assert [claim.invocation_id for claim in claims] == [good]

    def test_claims_by_id_tell_what_became_of_each(self, store: Store) -> None:
        runner, other = store.runner(), store.runner()
        ready, busy, final = store.submit(key=3), store.submit(key=1), store.submit(key=2)
        delayed = store.submit(delay_us=SECOND_US)
        unknown = new_invocation_id()
        taken = store.claim(other, want=2)
        store.succeed(taken[1])

        replies = store.perform(store.orchestrator.claim_ids(runner, [ready, busy, final, delayed, unknown]))

        assert [reply.verdict for reply in replies] == [
            ClaimIdVerdict.CLAIMED,
            ClaimIdVerdict.BUSY,
            ClaimIdVerdict.FINAL,
            ClaimIdVerdict.NOT_READY,
            ClaimIdVerdict.UNKNOWN,
        ]
        assert replies[0].claim is not None
        assert replies[0].claim.epoch == 1

    def test_claims_by_id_end_with_as_many_as_were_wanted(self, store: Store) -> None:
        runner = store.runner()
        ids = [store.submit() for _ in range(3)]

        replies = store.perform(store.orchestrator.claim_ids(runner, ids, most=2))

        assert [reply.claim.invocation_id for reply in replies if reply.claim is not None] == ids[:2]
        assert store.status(ids[2]) is InvocationStatus.REGISTERED

    def test_claims_by_id_leave_queues_alone_that_are_not_served(self, store: Store) -> None:
        runner = store.runner()
        mine, other, rust = store.submit(queue="a"), store.submit(queue="b"), store.submit(queue="rust:a")

        replies = store.perform(store.orchestrator.claim_ids(runner, [other, rust, mine], queues=("a",)))
        anywhere = store.perform(store.orchestrator.claim_ids(runner, [other, rust]))

        not_ready, claimed = ClaimIdVerdict.NOT_READY, ClaimIdVerdict.CLAIMED
        assert [reply.verdict for reply in replies] == [not_ready, not_ready, claimed]
        assert [reply.verdict for reply in anywhere] == [claimed, not_ready]

    def test_claims_may_be_limited_to_what_ranks_before_something(self, store: Store) -> None:
        runner = store.runner()
        submitted = [store.submit(queue=queue, key=key) for queue, key in (("a", 1), ("b", 2), ("a", 3), ("b", 4))]
        bound = store.control(submitted[2]).rank

        one_queue = store.exchange(runner, want=10, queues=("a",), before=bound).claims
        all_queues = store.exchange(runner, want=10, before=bound).claims
        rest = store.exchange(runner, want=10).claims

        assert [claim.invocation_id for claim in one_queue] == submitted[:1]
        assert [claim.invocation_id for claim in all_queues] == submitted[1:2]
        assert [claim.invocation_id for claim in rest] == submitted[2:]

    def test_claims_may_be_limited_to_what_somebody_needs(self, store: Store) -> None:
        waiter = store.running(store.runner())
        _, awaited, _, before = (store.submit(queue=queue) for queue in ("a", "b", "a", "a"))
        child = store.submit(queue="a", parent=Fence(waiter.session, waiter.invocation_id, waiter.epoch))
        store.submit(after=(before,))
        store.suspend(waiter, awaited)
        runner = store.runner()

        one_queue = store.exchange(runner, want=1, queues=("a",), awaited=True).claims
        all_queues = store.exchange(runner, want=10, awaited=True).claims

        assert [claim.invocation_id for claim in one_queue] == [before]
        assert [claim.invocation_id for claim in all_queues] == [awaited, child]

    def test_what_expired_is_passed_over_under_such_a_limit_too(self, store: Store) -> None:
        runner = store.runner()
        late = store.submit(key=1, expires_us=SECOND_US)
        good = store.submit(key=2)
        bound = store.control(good).rank + 1
        store.clock.advance(2)

        claims = store.exchange(runner, want=1, tick_budget=0, before=bound).claims

        assert [claim.invocation_id for claim in claims] == [good]
        assert store.status(late) is InvocationStatus.EXPIRED

    def test_an_ended_session_claims_nothing(self, store: Store) -> None:
        runner = store.runner()
        store.perform(store.orchestrator.close_session(runner))
        invocation = store.submit()

        with pytest.raises(SessionGone):
            store.claim(runner)
        with pytest.raises(SessionGone):
            store.perform(store.orchestrator.claim_ids(runner, [invocation]))

        assert store.status(invocation) is InvocationStatus.REGISTERED

    def test_many_are_submitted_and_claimed_in_one_call(self, store: Store) -> None:
        items = [submission() for _ in range(2_000)]
        store.submit_items(*items)

        claims = store.claim(store.runner(), want=3_000)

        assert [claim.invocation_id for claim in claims] == [item.invocation_id for item in items]
