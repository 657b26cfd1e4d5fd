"""What `suspend` and `watch` promise."""

from __future__ import annotations

import pytest

from pynenc.errors import SessionGone
from pynenc.model.ids import Epoch, new_invocation_id
from pynenc.model.records import FinishedNotice, Suspend, Verdict
from pynenc.model.status import InvocationStatus, Reason, State
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract


class SuspendingContract(StoreContract):
    def test_a_waiting_run_goes_on_with_the_results_under_the_same_epoch(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        assert store.suspend(parent, child).verdict is Verdict.ACCEPTED
        assert store.status(parent.invocation_id) is InvocationStatus.PAUSED

        store.succeed(store.claim_one(runner), b"of the child")
        resumed = store.resumed(runner)

        assert [(each.invocation_id, each.epoch, each.timed_out) for each in resumed] == [
            (parent.invocation_id, parent.epoch, False)
        ]
        assert [outcome.payload for outcome in resumed[0].outcomes] == [b"of the child"]
        assert store.status(parent.invocation_id) is InvocationStatus.RUNNING
        assert store.succeed(parent).verdict is Verdict.ACCEPTED

    def test_it_goes_on_once(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.suspend(parent, store.submit())
        store.succeed(store.claim_one(runner))

        assert (len(store.resumed(runner)), store.resumed(runner)) == (1, [])

    def test_what_is_final_already_satisfies_at_once(self, store: Store) -> None:
        runner = store.runner()
        child = store.submit()
        store.succeed(store.claim_one(runner), b"r")
        parent = store.running(runner)

        reply = store.suspend(parent, child)

        assert reply.verdict is Verdict.SATISFIED
        assert [outcome.payload for outcome in reply.outcomes] == [b"r"]
        assert store.control(parent.invocation_id).state is State.OWNED

    @pytest.mark.parametrize(("need", "ended_before_it_goes_on"), [(0, 3), (1, 1), (2, 2), (9, 3)])
    def test_it_needs_as_many_as_it_says(self, store: Store, need: int, ended_before_it_goes_on: int) -> None:
        runner = store.runner()
        parent = store.running(runner)
        children = [store.submit() for _ in range(3)]
        store.suspend(parent, *children, need=need)

        ended = 0
        while store.control(parent.invocation_id).state is State.SUSPENDED:
            store.succeed(store.claim_one(runner))
            ended += 1

        assert ended == ended_before_it_goes_on
        assert len(store.resumed(runner)[0].outcomes) == ended

    def test_resumable_work_comes_before_new_work_and_counts(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.suspend(parent, store.submit())
        child = store.claim_one(runner)
        store.submit()
        store.succeed(child)

        reply = store.exchange(runner, want=1)

        assert (len(reply.resumed), len(reply.claims)) == (1, 0)

    def test_a_wait_ends_when_its_time_is_up(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit(delay_us=3_600 * SECOND_US)
        store.suspend(parent, child, timeout_us=2 * SECOND_US)
        assert store.exchange(runner).next_due_us == 2 * SECOND_US
        store.clock.advance(2)

        resumed = store.resumed(runner)

        assert [(each.timed_out, each.outcomes) for each in resumed] == [(True, ())]
        assert store.control(parent.invocation_id).need_left == 0

    def test_a_repeated_suspend_changes_nothing(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        store.suspend(parent, child)

        assert store.suspend(parent, child).verdict is Verdict.ACCEPTED
        assert store.control(parent.invocation_id).need_left == 1

    def test_duplicates_count_once(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        store.suspend(parent, child, child)

        assert store.control(parent.invocation_id).need_left == 1

    def test_a_stale_run_suspends_nothing(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        wish = Suspend(invocation_id=parent.invocation_id, epoch=Epoch(parent.epoch + 1), waits=(child,))

        assert store.settle(runner, wish)[0].verdict is Verdict.STALE
        assert store.control(parent.invocation_id).state is State.OWNED

    def test_waiting_for_something_unknown_is_refused_by_name(self, store: Store) -> None:
        parent = store.running(store.runner())
        unknown = new_invocation_id()

        reply = store.suspend(parent, unknown)

        assert (reply.verdict, reply.cycle) == (Verdict.UNKNOWN, (unknown,))

    def test_waiting_for_oneself_is_a_cycle(self, store: Store) -> None:
        parent = store.running(store.runner())

        reply = store.suspend(parent, parent.invocation_id)

        assert (reply.verdict, reply.cycle) == (Verdict.WAIT_CYCLE, (parent.invocation_id, parent.invocation_id))

    def test_a_long_cycle_is_named_from_end_to_end(self, store: Store) -> None:
        runner = store.runner()
        a, b, c = (store.running(runner) for _ in range(3))
        store.suspend(a, b.invocation_id)
        store.suspend(b, c.invocation_id)

        reply = store.suspend(c, a.invocation_id)

        assert reply.verdict is Verdict.WAIT_CYCLE
        assert reply.cycle == (c.invocation_id, a.invocation_id, b.invocation_id, c.invocation_id)
        assert store.control(c.invocation_id).state is State.OWNED

    def test_dependencies_count_in_cycles(self, store: Store) -> None:
        runner = store.runner()
        a = store.running(runner)
        after = store.submit(after=(a.invocation_id,))

        assert store.suspend(a, after).verdict is Verdict.WAIT_CYCLE

    def test_a_diamond_is_no_cycle(self, store: Store) -> None:
        runner = store.runner()
        top, left, right = (store.running(runner) for _ in range(3))
        bottom = store.submit()
        store.suspend(top, left.invocation_id, right.invocation_id)

        assert store.suspend(left, bottom).verdict is Verdict.ACCEPTED
        assert store.suspend(right, bottom).verdict is Verdict.ACCEPTED

    def test_a_suspended_run_whose_runner_is_lost_starts_anew_uncounted(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        store.suspend(parent, child)
        store.expire_sessions()

        control = store.control(parent.invocation_id)
        assert (control.state, control.reason, control.crashes, control.attempt) == (
            State.READY,
            Reason.RUNNER_LOST_RUNNING,
            0,
            0,
        )

    def test_a_wait_that_was_granted_is_in_the_history(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.suspend(parent, store.submit())
        begun = store.clock()
        store.clock.advance(2)
        store.succeed(store.claim_one(runner))
        store.resumed(runner)

        row = store.snapshot(parent.invocation_id).attempts[0]
        assert (row.reason, row.suspended_at_us, row.ended_at_us) == (Reason.WAITED, begun, begun + 2 * SECOND_US)


class WatchingContract(StoreContract):
    def test_final_ones_are_returned_at_once_and_others_are_sent(self, store: Store) -> None:
        runner, client = store.runner(), store.client()
        done = store.submit()
        store.succeed(store.claim_one(runner), b"1")
        open_ = store.submit()
        unknown = new_invocation_id()

        reply = store.perform(store.orchestrator.watch(client, [done, open_, unknown]))

        assert [outcome.invocation_id for outcome in reply.outcomes] == [done]
        assert reply.unknown == (unknown,)
        assert store.exchange(client).inbox == ()
        store.succeed(store.claim_one(runner), b"2")
        inbox = store.exchange(client).inbox
        assert [message.outcome.payload for message in inbox if isinstance(message, FinishedNotice)] == [b"2"]

    def test_a_notice_is_delivered_once_however_often_one_watches(self, store: Store) -> None:
        runner, client = store.runner(), store.client()
        invocation = store.submit()
        for _ in range(3):
            store.perform(store.orchestrator.watch(client, [invocation]))
        store.succeed(store.claim_one(runner))

        assert (len(store.exchange(client).inbox), len(store.exchange(client).inbox)) == (1, 0)

    def test_every_watcher_is_told(self, store: Store) -> None:
        runner, clients = store.runner(), [store.client(), store.client()]
        invocation = store.submit()
        for client in clients:
            store.perform(store.orchestrator.watch(client, [invocation]))
        store.perform(store.orchestrator.cancel([invocation]))

        assert [len(store.exchange(client).inbox) for client in clients] == [1, 1]
        assert store.exchange(runner).inbox == ()

    def test_an_ended_session_watches_nothing(self, store: Store) -> None:
        client = store.client()
        invocation = store.submit()
        store.perform(store.orchestrator.watch(client, [invocation]))
        store.expire_sessions()

        with pytest.raises(SessionGone):
            store.perform(store.orchestrator.watch(client, [invocation]))


class WaitingContract(SuspendingContract, WatchingContract):
    """All that waiting promises."""
