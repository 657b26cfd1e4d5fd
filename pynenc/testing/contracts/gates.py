"""Limits: slots with their holders, ordering keys, borrowing, modes, changes while work runs."""

from __future__ import annotations

from collections.abc import Iterator
from select import select
from typing import Any

import pytest

from pynenc.io import run
from pynenc.model.gates import (
    GateFact,
    SlotGate,
)
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    Claim,
    Fence,
)
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend
from pynenc.ports.doorbell import Doorbell
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import Perform, Store, StoreContract

ONE = SlotGate(key="k", limit=1)
TWO = SlotGate(key="k", limit=2)
HELD = SlotGate(key="k", limit=1, hold_while_waiting=True)
ORDERED = SlotGate(key="k", limit=1, block_lane_on_retry=True)
PARKED = InvocationStatus.CONCURRENCY_CONTROLLED


def ids_of(claims: list[Claim]) -> list[InvocationId]:
    return [claim.invocation_id for claim in claims]


def fence(claim: Claim) -> Fence:
    return Fence(claim.session, claim.invocation_id, claim.epoch)


def rings(bell: Doorbell) -> bool:
    """Whether a bell rings, or does so soon."""
    ready, _, _ = select([bell.fileno()], [], [], 0.5)
    return bool(ready)


def done(kind: Any, claim: Claim, **fields: Any) -> Any:
    return kind(invocation_id=claim.invocation_id, epoch=claim.epoch, **fields)


class GatedContract(StoreContract):
    """Base of the contracts about gates: left out, by name, for stores that declare none."""

    @pytest.fixture
    def store(self, backend: Backend, perform: Perform, clock: FakeClock) -> Iterator[Store]:
        if not backend.capabilities.gates:
            pytest.skip(f"{backend.url.partition(':')[0]} has no gates")
        yield Store(backend, perform, clock)
        assert run(backend.orchestrator.verify()) == []

    def facts(self, store: Store, invocation_id: InvocationId) -> list[GateFact]:
        standing = store.perform(store.orchestrator.explain(invocation_id))
        assert standing is not None
        return list(standing.gates)

    def put(self, store: Store, setting: Any) -> None:
        store.perform(store.orchestrator.put_gate(setting))
