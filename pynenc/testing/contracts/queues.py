"""What queues, re-queueing and insight promise."""

from __future__ import annotations

from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Failure, Pause
from pynenc.model.status import InvocationStatus, Reason
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract


class QueuesContract(StoreContract):
    def test_a_paused_queue_gives_no_new_work_until_it_is_resumed(self, store: Store) -> None:
        runner = store.runner()
        paused, other = store.submit(queue="a"), store.submit(queue="b")
        for _ in range(2):
            store.perform(store.orchestrator.pause("a"))

        assert [claim.invocation_id for claim in store.claim(runner, want=5)] == [other]
        store.perform(store.orchestrator.resume("a"))

        assert [claim.invocation_id for claim in store.claim(runner, want=5)] == [paused]

    def test_who_paused_a_queue_first_stays_noted_until_it_is_resumed(self, store: Store) -> None:
        invocation, at_us = store.submit(queue="a"), store.clock()
        store.perform(store.orchestrator.pause("a", by="anna@ops", reason="it is löschen time"))
        store.clock.advance(1)
        store.perform(store.orchestrator.pause("a", by="bob@ops", reason="me too"))

        (a,) = store.perform(store.orchestrator.queue_stats())
        standing = store.perform(store.orchestrator.explain(invocation))

        assert a.pause == Pause(queue="a", by="anna@ops", reason="it is löschen time", at_us=at_us)
        assert standing is not None
        assert standing.pause == a.pause
        store.perform(store.orchestrator.resume("a"))
        assert not store.perform(store.orchestrator.queue_stats())[0].paused
        store.perform(store.orchestrator.pause("a", by="bob@ops"))
        again = store.perform(store.orchestrator.queue_stats())[0].pause
        assert again == Pause(queue="a", by="bob@ops", reason="", at_us=at_us + SECOND_US)

    def test_what_runs_goes_on_in_a_paused_queue(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        child = store.submit()
        claim = store.claim_one(runner)
        store.suspend(parent, child)
        store.perform(store.orchestrator.pause("default"))
        store.succeed(claim)

        assert len(store.resumed(runner)) == 1

    def test_stats_count_by_state(self, store: Store) -> None:
        runner = store.runner(queues=("a",))
        store.submit(queue="a")
        parent, running = store.claim_one(runner), None
        child = store.submit(queue="a", delay_us=SECOND_US)
        store.suspend(parent, child)
        store.submit(queue="a")
        running = store.claim_one(runner)
        oldest = store.clock()
        store.submit(queue="a")
        store.submit(queue="b")
        store.perform(store.orchestrator.pause("c"))

        a, b, c = store.perform(store.orchestrator.queue_stats())

        assert (a.queue, a.ready, a.delayed, a.running, a.suspended) == ("a", 1, 1, 1, 1)
        assert (a.oldest_ready_at_us, a.listeners, a.paused) == (oldest, 1, False)
        assert (b.queue, b.ready, b.listeners) == ("b", 1, 0)
        assert (c.queue, c.ready, c.paused) == ("c", 0, True)
        assert running.queue == "a"

    def test_final_work_can_be_put_back(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)
        store.settle(runner, Failure(invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"e"))
        live = store.submit(key=0)
        unknown = new_invocation_id()

        back = store.perform(store.orchestrator.requeue([claim.invocation_id, live, unknown]))

        assert back == [claim.invocation_id]
        row = store.snapshot(claim.invocation_id).attempts[-1]
        assert (row.reason, row.error, row.detail) == (Reason.REQUEUED, b"e", "failed")
        again = store.claim(runner, want=2)[1]
        assert (again.invocation_id, again.epoch, again.attempt) == (claim.invocation_id, 2, 1)

    def test_explain_gathers_what_decides(self, store: Store) -> None:
        runner = store.runner(name="r", queues=("a",), slots=1)
        ahead = store.submit(queue="a")
        invocation = store.submit(queue="a")

        standing = store.perform(store.orchestrator.explain(invocation))

        assert standing is not None
        assert (standing.ahead, standing.pause, standing.owner) == (1, None, None)
        assert [row.session for row in standing.listeners] == [runner]
        store.claim_one(runner)
        running = store.perform(store.orchestrator.explain(ahead))
        assert running is not None
        assert running.owner is not None
        assert running.owner.info.name == "r"
        assert store.perform(store.orchestrator.explain(new_invocation_id())) is None

    def test_explain_names_what_is_waited_for(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        children = [store.submit(task_id=f"t{n}") for n in range(25)]
        store.suspend(parent, *children)

        standing = store.perform(store.orchestrator.explain(parent.invocation_id))

        assert standing is not None
        assert (len(standing.waits), standing.waits_total) == (20, 25)
        assert {each.status for each in standing.waits} == {InvocationStatus.REGISTERED}
