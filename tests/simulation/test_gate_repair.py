"""Damage to lanes, units and trials is found, and mended from the records."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.backends.memory.gating import Unit
from pynenc.backends.memory.state import MemoryState
from pynenc.io import run
from pynenc.model.gates import SlotGate
from pynenc.model.ids import InvocationId
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import Store

ONE = SlotGate(key="k", limit=1)
OTHER = SlotGate(key="other", limit=1)


def _forget_lane(state: MemoryState) -> None:
    key = next(iter(state.gating.lanes.lanes))
    del state.gating.lanes.lanes[key]


def _forget_member(state: MemoryState) -> None:
    lane = next(iter(state.gating.lanes.lanes.values()))
    first = lane.members.first()
    assert first is not None
    lane.members.drop(first)


def _invent_unit(state: MemoryState) -> None:
    state.gating.holders.setdefault("slots:free", {})[InvocationId(b"x" * 16)] = Unit(0, (), 1)


DAMAGES: dict[str, tuple[str, Callable[[MemoryState], object]]] = {
    "nothing is blocked": ("I1", lambda state: state.gating.lanes.blocked.clear()),
    "nothing is ready": ("I1", lambda state: state.ready.clear()),
    "a lane is gone": ("I1", _forget_lane),
    "a member is gone": ("I1", _forget_member),
    "nobody is inside": ("I4", lambda state: state.gating.holders.clear()),
    "a stranger is inside": ("I4", _invent_unit),
    "trials are forgotten": ("I5", lambda state: state.gating.trials.clear()),
}


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_is_found_and_mended(name: str) -> None:
    clock = FakeClock()
    backend = MemoryBackend(clock=clock)
    store = Store(backend, run, clock)
    runner = store.runner()
    first, second = (store.running(runner, gates=(gate,)) for gate in (ONE, OTHER))
    ids = [store.submit(gates=gates) for gates in ((OTHER,), (ONE, OTHER), (ONE,), (ONE, OTHER))]
    assert store.claim(runner, want=9) == []
    store.succeed(first)
    ids.append(store.submit(gates=(SlotGate(key="third", limit=1),)))
    invariant, damage = DAMAGES[name]

    run(backend._store.atomic(lambda state, _now: damage(state)))  # the state of a memory store is nobody's else
    found = run(backend.orchestrator.verify(repair=True))

    assert invariant in {violation.invariant for violation in found}
    assert run(backend.orchestrator.verify()) == []
    store.succeed(second)
    done = []
    while claims := store.claim(runner, want=1):
        done.append(claims[0].invocation_id)
        store.succeed(claims[0])
    assert sorted(done) == sorted(ids)
