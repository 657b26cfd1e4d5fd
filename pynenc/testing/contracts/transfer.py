"""What one side of a move promises."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from pynenc.errors import StoreError, StoreSealed
from pynenc.io import Op, run
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import Exchange, Fence, ListFilter, SessionInfo, SessionKind
from pynenc.ports.backend import Backend
from pynenc.ports.transfer import Carried, CarriedData, Seal, SealReply, SealState
from pynenc.testing.contracts.population import DATA_KEY, FREE_KEY, HELD_KEY, KEPT_KEY, holds, populate, run_to_the_end
from pynenc.testing.contracts.store import Store, StoreContract, race, submission

LEAVING = Seal(SealState.LEAVING, "move-1", "redis://elsewhere/0")
ARRIVING = Seal(SealState.ARRIVING, "move-1", "redis://elsewhere/0")
MOVED = Seal(SealState.MOVED, "move-1", "redis://elsewhere/0")
OTHER = Seal(SealState.LEAVING, "move-2", "redis://elsewhere/0")
ID = InvocationId(b"0123456789abcdef")
NOBODY = SessionId(9_999)
RACERS = 8

OPERATIONS: dict[str, Callable[[Backend], Op[Any]]] = {
    "open_session": lambda backend: _open_session(backend),
    "close_session": lambda backend: backend.orchestrator.close_session(NOBODY),
    "list_sessions": lambda backend: backend.orchestrator.list_sessions(),
    "submit": lambda backend: backend.orchestrator.submit([submission()]),
    "submit with a delay": lambda backend: backend.orchestrator.submit([submission(delay_us=1)]),
    "submit after another": lambda backend: backend.orchestrator.submit([submission(after=(ID,))]),
    "submit as a child": lambda backend: backend.orchestrator.submit([submission(parent=Fence(NOBODY, ID, Epoch(1)))]),
    "exchange": lambda backend: backend.orchestrator.exchange(Exchange(session=NOBODY, want=1)),
    "claim_ids": lambda backend: backend.orchestrator.claim_ids(NOBODY, [ID]),
    "list_owned": lambda backend: backend.orchestrator.list_owned(NOBODY),
    "watch": lambda backend: backend.orchestrator.watch(NOBODY, [ID]),
    "cancel": lambda backend: backend.orchestrator.cancel([ID]),
    "pause": lambda backend: backend.orchestrator.pause("queue"),
    "resume": lambda backend: backend.orchestrator.resume("queue"),
    "requeue": lambda backend: backend.orchestrator.requeue([ID]),
    "tick": lambda backend: backend.orchestrator.tick(budget=1),
    "explain": lambda backend: backend.orchestrator.explain(ID),
    "queue_stats": lambda backend: backend.orchestrator.queue_stats(),
    "verify": lambda backend: backend.orchestrator.verify(),
    "repair": lambda backend: backend.orchestrator.verify(repair=True),
    "snapshots": lambda backend: backend.state_backend.snapshots([ID]),
    "outcomes": lambda backend: backend.state_backend.outcomes([ID]),
    "statuses": lambda backend: backend.state_backend.statuses([ID]),
    "listing": lambda backend: backend.state_backend.listing(ListFilter()),
    "children": lambda backend: backend.state_backend.children(ID),
    "unnamed_before": lambda backend: backend.state_backend.unnamed_before(),
    "count": lambda backend: backend.state_backend.count(),
    "count by task": lambda backend: backend.state_backend.count(task_id="task"),
    "purge": lambda backend: backend.state_backend.purge([ID]),
    "purge everything": lambda backend: backend.state_backend.purge(),
    "put": lambda backend: backend.client_data_store.put(b"k" * 32, b""),
    "get": lambda backend: backend.client_data_store.get(b"k" * 32),
    "collect": lambda backend: backend.client_data_store.collect(before_us=0),
}


def _open_session(backend: Backend) -> Op[SessionId]:
    info = SessionInfo(kind=SessionKind.CLIENT, name="client", host="host", pid=1)
    return backend.orchestrator.open_session(info, lease_us=1)


class TransferContract(StoreContract):
    # --- the seal ---

    def test_a_sealed_store_refuses_every_operation(self, store: Store) -> None:
        store.submit()
        self._seal(store, LEAVING)

        allowed = [name for name, operation in OPERATIONS.items() if not self._is_refused(store, operation)]

        assert allowed == []
        assert store.perform(store.backend.transfer.survey()).invocations == 1
        self._open(store, LEAVING)

    def test_a_store_that_is_filled_refuses_work_as_well(self, store: Store) -> None:
        self._seal(store, ARRIVING)

        with pytest.raises(StoreSealed, match="from redis://elsewhere/0 to"):
            store.submit()
        with pytest.raises(StoreSealed, match="not complete"):
            store.runner()

        self._open(store, ARRIVING)

    def test_a_store_that_was_moved_says_where_to(self, store: Store) -> None:
        self._seal(store, LEAVING)
        self._seal(store, MOVED, instead_of=LEAVING)

        with pytest.raises(StoreSealed, match="moved to redis://elsewhere/0: use that URL"):
            store.submit()

        self._open(store, MOVED)

    def test_an_unsealed_store_is_as_it_was(self, store: Store) -> None:
        waiting = store.submit()
        self._seal(store, LEAVING)

        self._open(store, LEAVING)

        assert store.perform(store.backend.transfer.survey()).seal is None
        assert store.claim_one(store.runner()).invocation_id == waiting

    def test_a_store_in_use_is_not_sealed(self, store: Store) -> None:
        store.runner()

        assert self._wish(store, LEAVING) is SealReply.BUSY
        assert self._wish(store, ARRIVING) is SealReply.BUSY
        store.expire_sessions()

        self._seal(store, LEAVING)
        self._open(store, LEAVING)

    def test_only_an_empty_store_is_filled(self, store: Store) -> None:
        store.perform(store.backend.client_data_store.put(DATA_KEY, b""))
        assert self._wish(store, ARRIVING) is SealReply.OCCUPIED
        store.perform(store.state.purge())
        store.submit()
        assert self._wish(store, ARRIVING) is SealReply.OCCUPIED

        store.perform(store.state.purge())

        self._seal(store, ARRIVING)
        self._open(store, ARRIVING)

    def test_a_seal_replaces_only_the_one_it_names(self, store: Store) -> None:
        self._seal(store, LEAVING)

        assert self._wish(store, OTHER) is SealReply.CHANGED
        assert self._wish(store, OTHER, instead_of=MOVED) is SealReply.CHANGED
        assert self._wish(store, LEAVING) is SealReply.SEALED
        assert not store.perform(store.backend.transfer.unseal(OTHER))

        assert store.perform(store.backend.transfer.survey()).seal == LEAVING
        self._open(store, LEAVING)
        assert store.perform(store.backend.transfer.unseal(LEAVING))

    def test_a_mover_that_was_overtaken_changes_nothing(self, store: Store) -> None:
        transfer = store.backend.transfer
        populate(store)
        header, items = store.perform(transfer.header()), self._all(store)
        store.perform(store.state.purge())
        changes: list[Callable[[Seal], Op[None]]] = [
            lambda mark: transfer.put_header(mark, header),
            lambda mark: transfer.carry_in(mark, items),
            lambda mark: transfer.data_in(mark, [CarriedData(key=DATA_KEY, data=b"", written_at_us=1)]),
            transfer.clear,
        ]
        for change in changes:
            with pytest.raises(StoreError, match="meanwhile"):
                store.perform(change(ARRIVING))
        self._seal(store, ARRIVING)

        for change in changes:
            with pytest.raises(StoreError, match="meanwhile"):
                store.perform(change(OTHER))

        assert self._all(store) == []
        assert store.perform(transfer.data_out(None, 1)) == []
        self._open(store, ARRIVING)

    def test_what_was_acknowledged_is_there_when_the_store_is_sealed(self, store: Store) -> None:
        transfer = store.backend.transfer
        acknowledged: list[InvocationId] = []
        under_way = threading.Event()

        def submit_until_refused(delay_us: int) -> None:
            while True:
                item = submission(delay_us=delay_us)
                run(store.orchestrator.submit([item]))
                acknowledged.append(item.invocation_id)
                if len(acknowledged) > 2 * RACERS:
                    under_way.set()

        def act(index: int) -> None:
            if index == 0:
                under_way.wait()
                assert run(transfer.seal(LEAVING, instead_of=None)) is SealReply.SEALED
                return
            with pytest.raises(StoreSealed):
                submit_until_refused(index % 2)

        race(RACERS, act)

        carried = [item.snapshot.call.invocation_id for item in self._all(store)]
        assert carried == sorted(acknowledged)
        self._open(store, LEAVING)

    def test_no_session_opens_in_a_store_that_is_being_sealed(self, store: Store) -> None:
        for _ in range(10):

            def act(index: int) -> bool:
                if index:
                    return run(store.backend.transfer.seal(LEAVING, instead_of=None)) is SealReply.SEALED
                try:
                    run(_open_session(store.backend))
                except StoreSealed:
                    return False
                return True

            opened, sealed = race(2, act)

            assert opened is not sealed
            store.perform(store.backend.transfer.unseal(LEAVING))
            store.expire_sessions()

    # --- what is carried ---

    def test_everything_comes_back_as_it_was(self, store: Store) -> None:
        transfer = store.backend.transfer
        populate(store)
        before = run(store.backend.dump())
        self._seal(store, LEAVING)
        header, items, data = store.perform(transfer.header()), self._all(store), self._data(store)

        store.perform(transfer.clear(LEAVING))
        assert self._all(store) == [] == self._data(store)
        assert store.perform(transfer.survey()).seal == LEAVING
        store.perform(transfer.put_header(LEAVING, header))
        for item in reversed(items):
            store.perform(transfer.carry_in(LEAVING, [item]))
        store.perform(transfer.data_in(LEAVING, data))

        assert self._all(store) == items
        assert self._data(store) == data
        assert store.perform(transfer.header()) == header
        self._open(store, LEAVING)
        assert run(store.backend.dump()) == before

    def test_what_came_back_goes_on_to_its_end(self, store: Store) -> None:
        transfer = store.backend.transfer
        populate(store)
        live = [item.snapshot.call.invocation_id for item in self._all(store) if item.snapshot.control is not None]
        self._seal(store, LEAVING)
        header, items = store.perform(transfer.header()), self._all(store)
        store.perform(transfer.clear(LEAVING))
        store.perform(transfer.put_header(LEAVING, header))
        store.perform(transfer.carry_in(LEAVING, items))
        self._open(store, LEAVING)

        assert holds(store, HELD_KEY)
        assert holds(store, KEPT_KEY)
        assert not holds(store, FREE_KEY)
        ran = run_to_the_end(store)

        assert len(set(ran)) == len(ran)
        assert set(live) <= set(ran)

    def test_repeating_brings_nothing_twice(self, store: Store) -> None:
        transfer = store.backend.transfer
        populate(store)
        self._seal(store, LEAVING)
        header, items, data = store.perform(transfer.header()), self._all(store), self._data(store)

        store.perform(transfer.put_header(LEAVING, header))
        store.perform(transfer.carry_in(LEAVING, items))
        store.perform(transfer.data_in(LEAVING, data))

        assert (store.perform(transfer.header()), self._all(store), self._data(store)) == (header, items, data)
        self._open(store, LEAVING)

    def test_numbers_go_on_where_they_stopped(self, store: Store) -> None:
        transfer = store.backend.transfer
        last_rank, last_session = store.control(store.submit()).rank, store.runner()
        store.expire_sessions()
        self._seal(store, LEAVING)
        header = store.perform(transfer.header())

        store.perform(transfer.clear(LEAVING))
        store.perform(transfer.put_header(LEAVING, header))
        self._open(store, LEAVING)

        assert store.control(store.submit()).rank == last_rank + 1
        assert store.runner() == last_session + 1

    def test_pages_are_in_the_order_of_ids_and_no_longer_than_asked(self, store: Store) -> None:
        transfer = store.backend.transfer
        items = [submission() for _ in range(7)]
        store.submit_items(*items)
        keys = sorted(bytes([number]) * 32 for number in (200, 3, 77, 255, 0))
        for key in keys[::-1]:
            store.perform(store.backend.client_data_store.put(key, key))

        page = store.perform(transfer.carry_out(None, 5))
        rest = store.perform(transfer.carry_out(page[-1].snapshot.call.invocation_id, 5))
        first = store.perform(transfer.data_out(None, 3))
        second = store.perform(transfer.data_out(first[-1].key, 3))

        assert len(page) == 5
        found = [item.snapshot.call.invocation_id for item in (*page, *rest)]
        assert found == sorted(item.invocation_id for item in items)
        assert [len(first), len(second)] == [3, 2]
        assert [item.key for item in (*first, *second)] == keys

    # --- words ---

    def _is_refused(self, store: Store, operation: Callable[[Backend], Op[Any]]) -> bool:
        try:
            store.perform(operation(store.backend))
        except StoreSealed:
            return True
        return False

    def _wish(self, store: Store, mark: Seal, instead_of: Seal | None = None) -> SealReply:
        return store.perform(store.backend.transfer.seal(mark, instead_of=instead_of))

    def _seal(self, store: Store, mark: Seal, instead_of: Seal | None = None) -> None:
        assert self._wish(store, mark, instead_of) is SealReply.SEALED

    def _open(self, store: Store, mark: Seal) -> None:
        assert store.perform(store.backend.transfer.unseal(mark))

    def _all(self, store: Store) -> list[Carried]:
        found: list[Carried] = []
        while page := store.perform(
            store.backend.transfer.carry_out(found[-1].snapshot.call.invocation_id if found else None, 10)
        ):
            found += page
        return found

    def _data(self, store: Store) -> list[CarriedData]:
        return store.perform(store.backend.transfer.data_out(None, 100))
