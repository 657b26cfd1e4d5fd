"""What the state backend promises."""

from __future__ import annotations

from pynenc.model.ids import new_invocation_id
from pynenc.model.records import ListFilter
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.store import Store, StoreContract


class ReadingContract(StoreContract):
    def test_unknown_ids_are_none_in_their_places(self, store: Store) -> None:
        known, unknown = store.submit(), new_invocation_id()

        snapshots = store.perform(store.state.snapshots([unknown, known]))

        assert snapshots[0] is None
        assert snapshots[1] is not None
        assert store.perform(store.state.statuses([unknown, known])) == [None, InvocationStatus.REGISTERED]
        assert store.perform(store.state.outcomes([unknown, known])) == [None, None]

    def test_listing_is_newest_first_and_goes_on_at_the_cursor(self, store: Store) -> None:
        ids = [store.submit() for _ in range(5)]

        first = store.perform(store.state.listing(ListFilter(limit=2)))
        second = store.perform(store.state.listing(ListFilter(limit=9, before=first[-1].call.invocation_id)))

        listed = [each.call.invocation_id for each in (*first, *second)]
        assert listed == ids[::-1]

    def test_listing_filters_by_everything_it_says(self, store: Store) -> None:
        runner = store.runner()
        done = store.submit(task_id="a", queue="x")
        store.succeed(store.claim_one(runner))
        open_ = store.submit(task_id="a", queue="y")
        child = store.submit(task_id="b", queue="y", parent_id=done)

        def listed(**fields: object) -> list[bytes]:
            found = store.perform(store.state.listing(ListFilter(**fields)))  # type: ignore[arg-type]
            return [each.call.invocation_id for each in found]

        assert listed(task_id="a") == [open_, done]
        assert listed(queue="y") == [child, open_]
        assert listed(parent_id=done) == [child]
        assert listed(statuses=(InvocationStatus.SUCCESS,)) == [done]
        assert listed(statuses=(InvocationStatus.REGISTERED,), task_id="b") == [child]

    def test_count_agrees_with_listing(self, store: Store) -> None:
        runner = store.runner()
        for _ in range(4):
            store.submit(task_id="a")
        store.submit(task_id="b")
        store.succeed(store.claim_one(runner))

        def counted(**fields: object) -> int:
            return store.perform(store.state.count(**fields))  # type: ignore[arg-type]

        assert (counted(), counted(task_id="a")) == (5, 4)
        assert counted(statuses=[InvocationStatus.SUCCESS]) == 1
        assert counted(task_id="a", statuses=[InvocationStatus.REGISTERED, InvocationStatus.SUCCESS]) == 4

    def test_purge_forgets_final_ones_only(self, store: Store) -> None:
        done = store.submit()
        store.succeed(store.claim_one(store.runner()))
        open_ = store.submit()

        assert store.perform(store.state.purge([done, open_])) == 1

        assert store.perform(store.state.statuses([done, open_])) == [None, InvocationStatus.REGISTERED]

    def test_purging_everything_leaves_a_store_that_works(self, store: Store) -> None:
        runner = store.runner()
        parent = store.running(runner)
        store.suspend(parent, store.submit(delay_us=1))
        store.running(runner)

        assert store.perform(store.state.purge(None)) == 3

        assert store.perform(store.state.count()) == 0
        store.submit()
        assert store.claim_one(runner).attempt == 1
