"""What a submission does whose key is held: reuse, refuse, debounce, for how long."""

from __future__ import annotations

from typing import Any

from pynenc.model.gates import SlotGate
from pynenc.model.records import Dedupe, DedupeMode, DedupePhase, SubmitReply, SubmitVerdict
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.gates import GatedContract, ids_of
from pynenc.testing.contracts.store import SECOND_US, Store, submission

ONE = SlotGate(key="k", limit=1)


class ReservingContract(GatedContract):
    def again(self, store: Store, dedupe: Dedupe, **fields: Any) -> SubmitReply:
        return store.submit_items(submission(dedupe=dedupe, **fields))[0]

    def test_other_arguments_under_a_held_key_are_told_apart(self, store: Store) -> None:
        same = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.RAISE, b"hash")
        other = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.RAISE, b"other")
        holder = store.submit(dedupe=same)

        replies = [self.again(store, dedupe) for dedupe in (same, other)]

        assert replies == [SubmitReply(SubmitVerdict.DEDUPED, holder), SubmitReply(SubmitVerdict.DIFFERENT, holder)]

    def test_a_debounced_one_takes_the_latest_arguments_and_starts_after_the_latest_delay(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)
        holder = store.submit(dedupe=key, arguments=b"1", delay_us=5 * SECOND_US)
        runner = store.runner()
        store.clock.advance(4)

        reply = self.again(store, key, arguments=b"2", delay_us=5 * SECOND_US)
        store.clock.advance(4)
        early = store.claim(runner)
        store.clock.advance(1)
        (claim,) = store.claim(runner)

        assert reply == SubmitReply(SubmitVerdict.DEBOUNCED, holder)
        assert early == []
        assert (claim.invocation_id, claim.arguments) == (holder, b"2")

    def test_one_that_is_ready_is_put_off_too(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)
        for gates in ((), (ONE,)):
            holder = store.submit(dedupe=key, gates=gates)

            self.again(store, key, arguments=b"later", delay_us=SECOND_US)

            assert store.claim(store.runner()) == []
            store.clock.advance(1)
            claim = store.claim_one(store.runner())
            assert (claim.invocation_id, claim.arguments) == (holder, b"later")
            store.succeed(claim)

    def test_without_a_delay_it_is_due_at_once(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)
        holder = store.submit(dedupe=key, delay_us=SECOND_US)

        self.again(store, key)

        assert ids_of(store.claim(store.runner())) == [holder]

    def test_what_was_claimed_is_not_changed_any_more(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.UNTIL_FINAL, DedupeMode.DEBOUNCE)
        claim = store.running(store.runner(), dedupe=key, arguments=b"1")

        reply = self.again(store, key, arguments=b"2")

        assert reply == SubmitReply(SubmitVerdict.DEDUPED, claim.invocation_id)
        assert store.snapshot(claim.invocation_id).call.arguments == b"1"

    def test_one_that_comes_after_others_waits_for_them_and_its_new_time(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)
        runner = store.runner()
        first = store.running(runner)
        holder = store.submit(dedupe=key, after=(first.invocation_id,))

        self.again(store, key, delay_us=SECOND_US)
        store.succeed(first)
        early = store.claim(runner)
        store.clock.advance(1)

        assert early == []
        assert ids_of(store.claim(runner)) == [holder]

    def test_a_key_for_a_while_is_free_again_after_its_window_whatever_became_of_its_holder(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.FOR_A_WHILE, window_us=5 * SECOND_US)
        runner = store.runner()
        first = store.submit(dedupe=key)
        store.succeed(store.claim_one(runner))
        store.clock.advance(4)

        within = self.again(store, key)
        store.clock.advance(1)
        after = self.again(store, key)

        assert within == SubmitReply(SubmitVerdict.DEDUPED, first)
        assert after.verdict is SubmitVerdict.CREATED
        assert self.again(store, key) == SubmitReply(SubmitVerdict.DEDUPED, after.invocation_id)

    def test_debouncing_keeps_the_place_in_the_queue_of_what_has_no_delay(self, store: Store) -> None:
        key = Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)
        holder, other = store.submit(dedupe=key), store.submit()

        self.again(store, key, arguments=b"2")

        assert ids_of(store.claim(store.runner(), want=2)) == [holder, other]
        assert store.status(other) is InvocationStatus.PENDING
