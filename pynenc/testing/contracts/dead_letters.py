"""What the state backend promises of work that ended dead."""

from __future__ import annotations

from typing import Any

from pynenc.model.ids import InvocationId
from pynenc.model.records import DeadFilter, DeadPage, Failure
from pynenc.model.status import DEAD_STATUSES, InvocationStatus
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract


class DeadLettersContract(StoreContract):
    def test_what_failed_is_listed_newest_ending_first(self, store: Store) -> None:
        first, second = store.submit(), store.submit()
        late = self._failed(store, second)
        early = self._failed(store, first)
        store.submit()
        store.succeed(store.claim_one(store.runner()))

        assert self._ids(self._page(store)) == [early, late]

    def test_successes_and_cancellations_are_no_dead_letters(self, store: Store) -> None:
        store.submit()
        store.succeed(store.claim_one(store.runner()))
        store.perform(store.orchestrator.cancel([store.submit()]))

        assert self._page(store, statuses=DEAD_STATUSES) == DeadPage(found=(), before=None)

    def test_pages_go_on_where_the_one_before_ended(self, store: Store) -> None:
        ids = [self._failed(store, store.submit(), later_s=number % 2) for number in range(7)]

        listed: list[InvocationId] = []
        page = self._page(store, budget=3)
        sizes = [len(page.found)]
        listed += self._ids(page)
        while page.before is not None:
            page = self._page(store, budget=3, before=page.before)
            sizes.append(len(page.found))
            listed += self._ids(page)

        assert (sorted(listed), sizes) == (sorted(ids), [3, 3, 1])
        ended = [(store.outcome(each).ended_at_us, each) for each in listed]
        assert ended == sorted(ended, reverse=True)

    def test_many_that_ended_at_one_instant_are_listed_once_each(self, store: Store) -> None:
        ids = [store.submit() for _ in range(9)]
        runner = store.runner()
        claims = store.claim(runner, want=9)
        done = [Failure(invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"e") for claim in claims]
        store.settle(runner, *done)

        page, listed = self._page(store, budget=2), []
        while True:
            listed += self._ids(page)
            if page.before is None:
                break
            page = self._page(store, budget=2, before=page.before)

        assert listed == sorted(ids, reverse=True)

    def test_filters_choose_by_queue_task_status_and_time(self, store: Store) -> None:
        old = self._failed(store, store.submit(queue="mail", task_id="a"))
        store.clock.advance(10)
        between_us = store.clock()
        new = self._failed(store, store.submit(queue="default", task_id="b"))
        expired = store.submit(queue="mail", expires_us=SECOND_US)
        store.clock.advance(2)
        store.tick()

        assert self._ids(self._page(store, queue="mail")) == [old]
        assert self._ids(self._page(store, queue="none")) == []
        assert self._ids(self._page(store, task_id="b")) == [new]
        assert self._ids(self._page(store, statuses=(InvocationStatus.EXPIRED,))) == [expired]
        assert self._ids(self._page(store, statuses=DEAD_STATUSES, queue="mail")) == [expired, old]
        assert self._ids(self._page(store, ended_before_us=between_us)) == [old]
        assert self._ids(self._page(store, ended_since_us=between_us)) == [new]

    def test_a_page_looks_at_its_budget_of_the_queue_alone(self, store: Store) -> None:
        mine = self._failed(store, store.submit(queue="mail"))
        for _ in range(5):
            self._failed(store, store.submit(queue="default", task_id="other"))

        page = self._page(store, queue="mail", budget=2)
        others = self._page(store, task_id="tests.task", budget=2)

        assert (self._ids(page), page.before) == ([mine], None)
        assert self._ids(others) == []
        assert others.before is not None

    def test_requeued_purged_and_forgotten_ones_are_no_dead_letters_any_more(self, store: Store) -> None:
        back, purged, brief = (self._failed(store, store.submit(retention_us=us)) for us in (None, None, SECOND_US))

        store.perform(store.orchestrator.requeue([back]))
        store.perform(store.state.purge([purged]))
        assert self._ids(self._page(store)) == [brief]
        store.clock.advance(1)
        store.tick()

        assert self._ids(self._page(store)) == []
        assert self._failed(store, back) == back
        assert self._ids(self._page(store)) == self._ids(self._page(store, queue="default")) == [back]
        store.perform(store.state.purge())
        assert self._ids(self._page(store)) == self._ids(self._page(store, queue="default")) == []

    def _failed(self, store: Store, invocation_id: InvocationId, *, later_s: float = 1) -> InvocationId:
        """Let an invocation run and fail, some time after the last one did."""
        store.clock.advance(later_s)
        runner = store.runner()
        claim = store.perform(store.orchestrator.claim_ids(runner, [invocation_id]))[0].claim
        assert claim is not None
        store.settle(runner, Failure(invocation_id=invocation_id, epoch=claim.epoch, error=b"e"))
        return invocation_id

    def _page(self, store: Store, **fields: Any) -> DeadPage:
        return store.perform(store.state.dead(DeadFilter(**fields)))

    def _ids(self, page: DeadPage) -> list[InvocationId]:
        return [each.call.invocation_id for each in page.found]
