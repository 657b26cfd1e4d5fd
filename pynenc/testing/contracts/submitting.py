"""What `submit` promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pynenc.errors import GatesUnsupported
from pynenc.model.gates import Flow, SlotGate, SlotSetting
from pynenc.model.ids import Epoch, id_text, new_invocation_id
from pynenc.model.records import (
    NEWEST_FIRST,
    AfterPolicy,
    Claim,
    Dedupe,
    DedupeMode,
    DedupePhase,
    Failure,
    Fence,
    SubmitVerdict,
)
from pynenc.model.status import InvocationStatus, Reason, State
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract, submission


class PlainSubmittingContract(StoreContract):
    def test_a_submission_is_ready_with_its_call(self, store: Store) -> None:
        invocation = store.submit(task_id="m.f", arguments=b"\x00\xff", queue="mail", policy=b"p", meta=b"m")

        found = store.snapshot(invocation)
        assert (found.call.task_id, found.call.arguments, found.call.queue) == ("m.f", b"\x00\xff", "mail")
        assert (found.call.policy, found.call.meta, found.call.root_id) == (b"p", b"m", invocation)
        assert store.control(invocation).state is State.READY
        assert store.status(invocation) is InvocationStatus.REGISTERED

    def test_a_repeated_submission_changes_nothing(self, store: Store) -> None:
        item = submission()
        store.submit_items(item)
        store.clock.advance(1)

        reply = store.submit_items(item)[0]

        assert (reply.verdict, reply.invocation_id) == (SubmitVerdict.EXISTING, item.invocation_id)
        assert store.snapshot(item.invocation_id).call.created_at_us == store.clock() - SECOND_US

    def test_a_repeated_submission_of_something_final_is_existing(self, store: Store) -> None:
        item = submission()
        store.submit_items(item)
        store.succeed(store.claim_one(store.runner()))

        assert store.submit_items(item)[0].verdict is SubmitVerdict.EXISTING

    def test_an_empty_submission_is_no_error(self, store: Store) -> None:
        assert store.submit_items() == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"gates": (SlotGate(key="k", limit=1),)},
            {"flow": Flow("a")},
            {"dedupe": Dedupe(b"k", DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)},
            {"dedupe": Dedupe(b"k", DedupePhase.FOR_A_WHILE, window_us=SECOND_US)},
        ],
    )
    def test_a_store_without_gates_refuses_them_and_creates_nothing(self, store: Store, fields: Any) -> None:
        if store.backend.capabilities.gates:
            pytest.skip("this store has gates")
        good, gated = submission(), submission(**fields)

        with pytest.raises(GatesUnsupported):
            store.submit_items(good, gated)
        with pytest.raises(GatesUnsupported):
            store.perform(store.orchestrator.put_gate(SlotSetting("k", 1)))

        assert store.status(good.invocation_id) is None

    def test_the_newest_can_be_first(self, store: Store) -> None:
        ids = [store.submit(key=NEWEST_FIRST) for _ in range(4)]
        batch = [submission(key=NEWEST_FIRST) for _ in range(3)]
        store.submit_items(*batch)
        in_turn = store.submit()

        claims = store.claim(store.runner(), want=10)

        newest = [item.invocation_id for item in reversed(batch)] + ids[::-1]
        assert [claim.invocation_id for claim in claims] == [in_turn, *newest]

    def test_a_delayed_one_is_blocked_until_its_time(self, store: Store) -> None:
        invocation = store.submit(delay_us=5 * SECOND_US)
        runner = store.runner()

        assert store.claim(runner) == []
        store.clock.advance(5)
        claims = store.claim(runner)

        assert [claim.invocation_id for claim in claims] == [invocation]
        assert store.control(invocation).not_before_us is None

    def test_nothing_delayed_is_early(self, store: Store) -> None:
        store.submit(delay_us=5 * SECOND_US)
        runner = store.runner()
        store.clock.advance(4.999_999)

        assert store.claim(runner) == []
        assert store.exchange(runner).next_due_us == 1

    def test_one_starts_at_its_instant_and_not_before(self, store: Store) -> None:
        at_us = store.clock() + 5 * SECOND_US
        parent = store.submit(queue="other")
        instants = [
            store.submit(start_at_us=at_us, delay_us=SECOND_US),
            store.submit(start_at_us=at_us, key=3),
            store.submit(start_at_us=at_us, parent_id=parent, dedupe=Dedupe(b"k", DedupePhase.UNTIL_FINAL)),
        ]
        past = store.submit(start_at_us=store.clock() - SECOND_US, delay_us=SECOND_US)
        runner = store.runner(queues=("default",))

        assert [claim.invocation_id for claim in store.claim(runner, want=9, queues=("default",))] == [past]
        assert {store.control(each).not_before_us for each in instants} == {at_us}
        store.clock.advance(4.999_999)
        assert store.claim(runner, want=9, queues=("default",)) == []
        store.clock.advance(0.000_001)

        claims = store.claim(runner, want=9, queues=("default",))
        assert sorted(claim.invocation_id for claim in claims) == sorted(instants)

    def test_a_start_survives_the_death_of_every_process(self, store: Store) -> None:
        invocation = store.submit(start_at_us=store.clock() + 60 * SECOND_US)
        store.runner()
        store.clock.advance(30)
        store.tick()
        store.expire_sessions()
        store.clock.set(store.control(invocation).not_before_us or 0)

        assert store.claim_one(store.runner()).invocation_id == invocation

    def test_one_that_does_not_start_in_time_expires(self, store: Store) -> None:
        invocation = store.submit(expires_us=SECOND_US)
        store.clock.advance(1)

        assert store.claim(store.runner()) == []
        assert store.outcome(invocation).status is InvocationStatus.EXPIRED

    def test_expiry_is_kept_by_tick_alone(self, store: Store) -> None:
        invocation = store.submit(expires_us=SECOND_US, delay_us=5 * SECOND_US)
        store.clock.advance(1)

        store.tick()

        assert store.status(invocation) is InvocationStatus.EXPIRED

    def test_what_has_started_does_not_expire(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner, expires_us=SECOND_US)
        store.clock.advance(2)
        store.tick()

        assert store.status(claim.invocation_id) is InvocationStatus.RUNNING

    def test_an_outcome_is_forgotten_after_its_retention(self, store: Store) -> None:
        kept = store.submit()
        brief = store.submit(retention_us=SECOND_US)
        runner = store.runner()
        for claim in store.claim(runner, want=2):
            store.succeed(claim)
        store.clock.advance(1)

        store.tick()

        assert store.status(brief) is None
        assert store.status(kept) is InvocationStatus.SUCCESS


class SubmittingWithFencesContract(StoreContract):
    def test_a_child_knows_its_parent_and_root(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit(parent=Fence(runner, parent.invocation_id, parent.epoch))
        child_claim = store.claim_one(runner)
        grandchild = store.submit(parent=Fence(runner, child, child_claim.epoch))

        call = store.snapshot(grandchild).call
        assert (call.parent_id, call.root_id) == (child, parent.invocation_id)
        assert store.perform(store.state.children(parent.invocation_id)) == [child]

    def test_a_stale_parent_submits_nothing(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        stale = Fence(runner, parent.invocation_id, Epoch(parent.epoch + 1))
        item = submission(parent=stale)

        assert store.submit_items(item)[0].verdict is SubmitVerdict.STALE_PARENT
        assert store.status(item.invocation_id) is None

    def test_a_recovered_parent_submits_nothing(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.expire_sessions()

        reply = store.submit_items(submission(parent=Fence(runner, parent.invocation_id, parent.epoch)))[0]

        assert reply.verdict is SubmitVerdict.STALE_PARENT


class DependenciesContract(StoreContract):
    def test_one_that_comes_after_others_waits_for_all(self, store: Store) -> None:
        runner = store.runner()
        first, second = store.submit(), store.submit()
        after = store.submit(after=(first, second))
        one, two = store.claim(runner, want=3)

        store.succeed(one)
        assert store.control(after).need_left == 1
        assert store.control(after).reason is Reason.DEPENDENCIES
        store.succeed(two)

        assert [claim.invocation_id for claim in store.claim(runner)] == [after]

    def test_what_has_ended_already_counts(self, store: Store) -> None:
        runner = store.runner()
        first = store.submit()
        store.succeed(store.claim_one(runner))

        after = store.submit(after=(first,))

        assert store.control(after).state is State.READY

    def test_a_failed_dependency_cancels_the_whole_chain_behind_it(self, store: Store) -> None:
        runner = store.runner()
        first = store.submit()
        second = store.submit(after=(first,))
        third = store.submit(after=(second,))
        claim = store.claim_one(runner)
        store.settle(runner, Failure(invocation_id=first, epoch=claim.epoch, error=b"e"))

        assert store.status(second) is InvocationStatus.CANCELLED
        assert store.status(third) is InvocationStatus.CANCELLED
        assert "ended failed" in store.outcome(second).reason

    def test_with_policy_done_any_end_will_do(self, store: Store) -> None:
        first = store.submit()
        after = store.submit(after=(first,), after_policy=AfterPolicy.ALL_DONE)

        store.perform(store.orchestrator.cancel([first]))

        assert store.control(after).state is State.READY

    def test_one_may_wait_for_the_first_of_several(self, store: Store) -> None:
        runner = store.runner()
        ids = [store.submit() for _ in range(3)]
        after = store.submit(after=tuple(ids), after_need=1)
        first, *_ = store.claim(runner, want=3)
        assert store.control(after).need_left == 1

        store.succeed(first)

        assert [claim.invocation_id for claim in store.claim(runner)] == [after]

    def test_failures_count_against_what_is_needed_only_once_too_few_are_left(self, store: Store) -> None:
        runner = store.runner()
        ids = [store.submit() for _ in range(4)]
        after = store.submit(after=tuple(ids), after_need=2)
        claims = store.claim(runner, want=4)

        store.settle(runner, *self._failures(claims[:2]))
        assert (store.control(after).state, store.control(after).need_left) == (State.BLOCKED, 2)
        store.settle(runner, *self._failures(claims[2:3]))

        assert store.status(after) is InvocationStatus.CANCELLED
        assert store.outcome(after).reason == f"dependency {id_text(claims[2].invocation_id)} ended failed"

    def test_enough_that_have_ended_already_are_enough(self, store: Store) -> None:
        runner = store.runner()
        ids = [store.submit() for _ in range(4)]
        good, bad, *_ = store.claim(runner, want=4)
        store.succeed(good)
        store.settle(runner, *self._failures([bad]))

        assert store.control(store.submit(after=tuple(ids), after_need=1)).state is State.READY
        done = store.submit(after=tuple(ids), after_need=2, after_policy=AfterPolicy.ALL_DONE)
        assert store.control(done).state is State.READY
        assert store.control(store.submit(after=tuple(ids), after_need=3)).need_left == 2
        hopeless = store.submit(after=tuple(ids), after_need=4)
        assert store.outcome(hopeless).reason == f"dependency {id_text(bad.invocation_id)} ended failed"

    def test_more_than_there_are_means_all(self, store: Store) -> None:
        first = store.submit()

        assert store.control(store.submit(after=(first, first), after_need=7)).need_left == 1

    def test_one_can_fail_with_those_it_comes_after(self, store: Store) -> None:
        runner = store.runner()
        first = store.submit()
        second = store.submit(after=(first,), after_policy=AfterPolicy.SUCCEEDED_OR_FAIL)
        third = store.submit(after=(second,))
        anyway = store.submit(after=(second,), after_policy=AfterPolicy.ALL_DONE)
        store.settle(runner, *self._failures([store.claim_one(runner)]))
        late = store.submit(after=(first,), after_policy=AfterPolicy.SUCCEEDED_OR_FAIL)

        assert (store.status(second), store.status(late)) == (InvocationStatus.FAILED, InvocationStatus.FAILED)
        assert (store.outcome(second).payload, store.outcome(second).session) == (b"", 0)
        assert store.outcome(second).reason == f"dependency {id_text(first)} ended failed"
        assert store.status(third) is InvocationStatus.CANCELLED
        assert store.outcome(third).reason == f"dependency {id_text(second)} ended failed"
        assert store.control(anyway).state is State.READY

    def _failures(self, claims: Sequence[Claim]) -> list[Failure]:
        return [Failure(invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"e") for claim in claims]

    def test_delay_and_dependencies_hold_both(self, store: Store) -> None:
        runner = store.runner()
        first = store.submit()
        after = store.submit(after=(first,), delay_us=5 * SECOND_US)
        store.succeed(store.claim_one(runner))

        assert store.control(after).state is State.BLOCKED
        store.clock.advance(5)
        store.tick()

        assert store.control(after).state is State.READY

    def test_an_unknown_dependency_is_named_and_nothing_is_created(self, store: Store) -> None:
        unknown = new_invocation_id()
        item = submission(after=(unknown,), dedupe=Dedupe(b"k", DedupePhase.UNTIL_FINAL))

        reply = store.submit_items(item)[0]

        assert (reply.verdict, reply.invocation_id) == (SubmitVerdict.UNKNOWN_DEPENDENCY, unknown)
        assert store.status(item.invocation_id) is None
        assert store.submit_items(submission(dedupe=Dedupe(b"k", DedupePhase.UNTIL_FINAL)))[0].verdict == 0


class DeduplicationContract(StoreContract):
    def test_a_held_key_names_its_holder(self, store: Store) -> None:
        dedupe = Dedupe(b"key", DedupePhase.UNTIL_PURGED)
        first = store.submit(dedupe=dedupe)
        item = submission(dedupe=dedupe)

        reply = store.submit_items(item)[0]

        assert (reply.verdict, reply.invocation_id) == (SubmitVerdict.DEDUPED, first)
        assert store.status(item.invocation_id) is None

    @pytest.mark.parametrize(
        ("phase", "freed_by"),
        [
            (DedupePhase.UNTIL_CLAIMED, "claim"),
            (DedupePhase.UNTIL_FINAL, "success"),
            (DedupePhase.UNTIL_PURGED, "purge"),
            (DedupePhase.WHILE_GOOD, "purge"),
        ],
    )
    def test_a_key_is_free_from_its_phase_on(self, store: Store, phase: DedupePhase, freed_by: str) -> None:
        dedupe = Dedupe(b"key", phase)
        first = store.submit(dedupe=dedupe)

        freed = {"submit": self._free(store, dedupe)}
        claim = store.claim_one(store.runner())
        freed["claim"] = self._free(store, dedupe)
        store.succeed(claim)
        freed["success"] = self._free(store, dedupe)
        store.perform(store.state.purge([first]))
        freed["purge"] = self._free(store, dedupe)

        steps = ["submit", "claim", "success", "purge"]
        assert freed == {step: steps.index(step) >= steps.index(freed_by) for step in steps}

    def _free(self, store: Store, dedupe: Dedupe) -> bool:
        """Tell whether a key is free, leaving things as they were."""
        probe = submission(dedupe=dedupe)
        free = store.submit_items(probe)[0].verdict is SubmitVerdict.CREATED
        if free:
            store.perform(store.orchestrator.cancel([probe.invocation_id]))
            store.perform(store.state.purge([probe.invocation_id]))
        return free

    def test_a_bad_end_frees_a_key_that_is_held_while_good(self, store: Store) -> None:
        dedupe = Dedupe(b"key", DedupePhase.WHILE_GOOD)
        first = store.submit(dedupe=dedupe)
        store.perform(store.orchestrator.cancel([first]))

        assert store.submit_items(submission(dedupe=dedupe))[0].verdict is SubmitVerdict.CREATED

    def test_later_items_of_one_call_see_earlier_ones(self, store: Store) -> None:
        dedupe = Dedupe(b"key", DedupePhase.UNTIL_FINAL)
        first, second = submission(dedupe=dedupe), submission(dedupe=dedupe)

        replies = store.submit_items(first, second, submission(after=(first.invocation_id,)))

        assert [reply.verdict for reply in replies] == [
            SubmitVerdict.CREATED,
            SubmitVerdict.DEDUPED,
            SubmitVerdict.CREATED,
        ]


class SubmittingContract(
    PlainSubmittingContract, SubmittingWithFencesContract, DependenciesContract, DeduplicationContract
):
    """All that `submit` promises."""
