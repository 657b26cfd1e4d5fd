"""Shares of a queue; and who is woken when a gate opens."""

from __future__ import annotations

from pynenc.model.gates import (
    Flow,
    SlotSetting,
)
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    SessionInfo,
    SessionKind,
)
from pynenc.ports.doorbell import Doorbell
from pynenc.testing.contracts.gates import ONE, PARKED, GatedContract, ids_of, rings
from pynenc.testing.contracts.store import LEASE_US, Store


class FlowsContract(GatedContract):
    def shares(self, store: Store, want: int, **weights: int) -> dict[str, int]:
        """Return how many of each flow are claimed first, of many."""
        flows: dict[InvocationId, str] = {}
        for name, weight in weights.items():
            for _ in range(want):
                flows[store.submit(flow=Flow(name, weight))] = name
        claims = store.claim(store.runner(), want=want)
        started = [flows[claim.invocation_id] for claim in claims]
        return {name: started.count(name) for name in weights}

    def test_flows_with_equal_weights_take_turns(self, store: Store) -> None:
        assert self.shares(store, 30, a=1, b=1, c=1) == {"a": 10, "b": 10, "c": 10}

    def test_flows_get_starts_in_proportion_to_their_weights(self, store: Store) -> None:
        assert self.shares(store, 40, a=1, b=3) == {"a": 10, "b": 30}

    def test_a_flow_that_comes_late_does_not_catch_up(self, store: Store) -> None:
        early = [store.submit(flow=Flow("early")) for _ in range(10)]
        runner = store.runner()
        store.claim(runner, want=4)
        late = [store.submit(flow=Flow("late")) for _ in range(10)]

        claims = ids_of(store.claim(runner, want=6))

        assert sorted(claims) == sorted([*early[4:7], *late[:3]])

    def test_within_a_flow_rank_decides(self, store: Store) -> None:
        second, first = store.submit(flow=Flow("a"), key=5), store.submit(flow=Flow("a"), key=1)

        assert ids_of(store.claim(store.runner(), want=2)) == [first, second]

    def test_a_band_goes_before_every_share(self, store: Store) -> None:
        store.submit(flow=Flow("a"))
        urgent = store.submit(flow=Flow("b"), band=1)

        assert ids_of(store.claim(store.runner(), want=1)) == [urgent]

    def test_a_flow_before_a_closed_gate_leaves_its_turn_to_others(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(ONE,))
        stopped = store.submit(flow=Flow("a"), gates=(ONE,))
        other, free = store.submit(flow=Flow("b")), store.submit(flow=Flow("a"))

        assert sorted(ids_of(store.claim(runner, want=5))) == sorted([other, free])
        assert store.status(stopped) is PARKED


class WakingContract(GatedContract):
    def sleeper(self, store: Store) -> tuple[SessionId, Doorbell]:
        bell = store.orchestrator.doorbell()
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=1, doorbell=bell.address)
        return store.perform(store.orchestrator.open_session(info, lease_us=LEASE_US)), bell

    def test_a_freed_unit_wakes_a_sleeper(self, store: Store) -> None:
        busy = store.runner()
        holder = store.running(busy, gates=(ONE,))
        waiting = store.submit(gates=(ONE,))
        sleeper, bell = self.sleeper(store)
        assert store.exchange(sleeper, want=1, idle=True).claims == ()

        store.succeed(holder)

        assert rings(bell)
        assert ids_of(store.claim(sleeper)) == [waiting]

    def test_who_took_all_it_wanted_wakes_another_one_for_the_rest(self, store: Store) -> None:
        busy = store.runner()
        store.running(busy, gates=(ONE,))
        ids = [store.submit(gates=(ONE,)) for _ in range(3)]
        (first, first_bell), (second, second_bell) = self.sleeper(store), self.sleeper(store)
        for session in (first, second):
            assert store.exchange(session, want=1, idle=True).claims == ()

        self.put(store, SlotSetting("k", 9))
        assert rings(first_bell)
        # A bell may ring for nothing, as when its store begins to listen; who was woken already is not woken again.
        second_bell.clear()
        claims = store.claim(first)

        assert ids_of(claims) == ids[:1]
        assert rings(second_bell)
