"""What `cancel` promises."""

from __future__ import annotations

import pytest

from pynenc.model.ids import new_invocation_id
from pynenc.model.records import CancelNotice, CancelVerdict, Crash, Fence, Release, Retry, Verdict
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract


class CancellingContract(StoreContract):
    def test_what_has_not_begun_ends_at_once(self, store: Store) -> None:
        ready, delayed = store.submit(), store.submit(delay_us=SECOND_US)
        after = store.submit(after=(delayed,))

        replies = store.perform(store.orchestrator.cancel([ready, delayed], detail="not needed"))

        assert [reply.verdict for reply in replies] == [CancelVerdict.CANCELLED] * 2
        assert store.outcome(ready).reason == "not needed"
        assert store.status(after) is InvocationStatus.CANCELLED
        assert store.claim(store.runner(), want=5) == []

    def test_final_and_unknown_ones_are_told_apart(self, store: Store) -> None:
        final = store.submit()
        store.succeed(store.claim_one(store.runner()))

        replies = store.perform(store.orchestrator.cancel([final, new_invocation_id()]))

        assert [reply.verdict for reply in replies] == [CancelVerdict.FINAL, CancelVerdict.UNKNOWN]
        assert store.status(final) is InvocationStatus.SUCCESS

    def test_the_owner_of_a_run_is_told_once(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)

        for _ in range(2):
            reply = store.perform(store.orchestrator.cancel([claim.invocation_id], detail="stop"))[0]
            assert reply.verdict is CancelVerdict.REQUESTED

        inbox = store.exchange(runner).inbox
        assert inbox == (CancelNotice(invocation_id=claim.invocation_id, epoch=claim.epoch, detail="stop"),)
        assert store.control(claim.invocation_id).cancel_requested

    def test_a_run_that_ends_first_keeps_its_result(self, store: Store) -> None:
        claim = store.running(store.runner())
        store.perform(store.orchestrator.cancel([claim.invocation_id]))

        assert store.succeed(claim).verdict is Verdict.ACCEPTED
        assert store.status(claim.invocation_id) is InvocationStatus.SUCCESS

    @pytest.mark.parametrize("end", ["retry", "release", "crash", "runner lost", "session closed"])
    def test_a_cancelled_run_never_runs_again(self, store: Store, end: str) -> None:
        runner = store.runner()
        claim = store.running(runner)
        store.perform(store.orchestrator.cancel([claim.invocation_id]))

        key = {"invocation_id": claim.invocation_id, "epoch": claim.epoch}
        match end:
            case "retry":
                store.settle(runner, Retry(**key, error=b""))  # type: ignore[arg-type]
            case "release":
                store.settle(runner, Release(**key))  # type: ignore[arg-type]
            case "crash":
                store.settle(runner, Crash(**key))  # type: ignore[arg-type]
            case "runner lost":
                store.expire_sessions()
            case _:
                store.perform(store.orchestrator.close_session(runner))

        assert store.status(claim.invocation_id) is InvocationStatus.CANCELLED

    def test_a_suspended_run_ends_at_once_and_its_owner_drops_the_stack(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        store.suspend(parent, child)

        replies = store.perform(store.orchestrator.cancel([parent.invocation_id]))

        assert replies[0].verdict is CancelVerdict.CANCELLED
        assert [message.invocation_id for message in store.exchange(runner).inbox] == [parent.invocation_id]  # type: ignore[union-attr]
        assert store.status(child) is InvocationStatus.REGISTERED

    def test_a_resumable_run_ends_at_once(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.suspend(parent, store.submit())
        store.succeed(store.claim_one(runner))

        store.perform(store.orchestrator.cancel([parent.invocation_id]))

        assert store.resumed(runner) == []
        assert store.status(parent.invocation_id) is InvocationStatus.CANCELLED

    def test_suspending_after_a_request_to_cancel_ends_it(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        store.perform(store.orchestrator.cancel([parent.invocation_id]))

        assert store.suspend(parent, child).verdict is Verdict.ACCEPTED
        assert store.status(parent.invocation_id) is InvocationStatus.CANCELLED

    def test_a_tree_goes_with_its_root(self, store: Store) -> None:
        runner = store.runner()
        root = store.running(runner)
        fence = Fence(runner, root.invocation_id, root.epoch)
        child = store.submit(parent=fence)
        claim = store.claim_one(runner)
        grandchild = store.submit(parent=Fence(runner, child, claim.epoch))
        other = store.submit()

        replies = store.perform(store.orchestrator.cancel([root.invocation_id], tree=True))

        assert [reply.invocation_id for reply in replies] == [root.invocation_id, *sorted([child, grandchild])]
        assert store.status(grandchild) is InvocationStatus.CANCELLED
        assert store.status(other) is InvocationStatus.REGISTERED
