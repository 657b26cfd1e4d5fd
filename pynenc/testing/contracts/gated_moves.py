"""What a move carries of gates."""

from __future__ import annotations

import pytest

from pynenc.model.gates import BreakerGate, Flow, RateGate, SlotSetting
from pynenc.model.records import Failure, Retry
from pynenc.model.status import InvocationStatus, State
from pynenc.ports.transfer import Carried, Header, Seal, SealReply, SealState
from pynenc.testing.contracts.gates import ONE, ORDERED, GatedContract, done, ids_of
from pynenc.testing.contracts.store import SECOND_US, Store

LEAVING = Seal(SealState.LEAVING, "move-1", "redis://elsewhere/0")
RATE = RateGate(key="r", interval_us=100 * SECOND_US)
BREAKER = BreakerGate(key="task", failures=1, open_for_us=100 * SECOND_US)


class GatedMovesContract(GatedContract):
    def carried(self, store: Store) -> tuple[Header, list[Carried]]:
        """Take everything out of the store, and put it in again."""
        transfer = store.backend.transfer
        assert store.perform(transfer.seal(LEAVING, instead_of=None)) is SealReply.SEALED
        header, items = store.perform(transfer.header()), store.perform(transfer.carry_out(None, 1_000))
        store.perform(transfer.clear(LEAVING))
        store.perform(transfer.put_header(LEAVING, header))
        store.perform(transfer.carry_in(LEAVING, items))
        assert store.perform(transfer.header()) == header
        assert store.perform(transfer.carry_out(None, 1_000)) == items
        assert store.perform(transfer.unseal(LEAVING))
        return header, items

    def test_gates_flows_and_settings_come_along(self, store: Store) -> None:
        self.put(store, SlotSetting("k", 2))
        ids = [store.submit(gates=(ONE,), flow=Flow("a", 3)) for _ in range(3)]

        header, items = self.carried(store)

        assert header.settings == (SlotSetting("k", 2),)
        assert {(item.snapshot.call.gates, item.snapshot.call.flow) for item in items} == {((ONE,), Flow("a", 3))}
        assert ids_of(store.claim(store.runner(), want=5)) == ids[:2]

    def test_what_is_closed_stays_closed(self, store: Store) -> None:
        runner = store.runner()
        failed = store.running(runner, gates=(RATE, BREAKER))
        store.settle(runner, done(Failure, failed, error=b""))
        limited, broken = store.submit(gates=(RATE,)), store.submit(gates=(BREAKER,))
        assert store.claim(runner, want=5) == []
        store.perform(store.orchestrator.close_session(runner))

        self.carried(store)
        before = store.claim(runner := store.runner(), want=5)
        store.clock.advance(100)
        store.expire_sessions()

        assert before == []
        assert sorted(ids_of(store.claim(store.runner(), want=5))) == sorted([limited, broken])

    def test_a_delayed_retry_keeps_its_unit(self, store: Store) -> None:
        runner = store.runner()
        first, second = store.submit(gates=(ORDERED,)), store.submit(gates=(ORDERED,))
        store.settle(runner, done(Retry, store.claim_one(runner), error=b"", delay_us=5 * SECOND_US))
        store.perform(store.orchestrator.close_session(runner))

        _, items = self.carried(store)
        runner = store.runner()
        between = store.claim(runner, want=5)
        store.clock.advance(5)
        store.tick()

        assert [unit.gate for item in items for unit in item.units] == ["slots:k"]
        assert between == []
        assert ids_of(store.claim(runner, want=5)) == [first]
        assert store.status(second) is InvocationStatus.CONCURRENCY_CONTROLLED


class RepairContract(GatedContract):
    @pytest.mark.parametrize("mend", [False, True])
    def test_looking_and_mending_change_nothing_that_is_sound(self, store: Store, mend: bool) -> None:
        runner = store.runner()
        store.running(runner, gates=(ONE,))
        parked = store.submit(gates=(ONE,))
        assert store.claim(runner) == []

        found = store.perform(store.orchestrator.verify(repair=mend))

        assert found == []
        assert store.control(parked).state is State.READY
        assert store.status(parked) is InvocationStatus.CONCURRENCY_CONTROLLED
