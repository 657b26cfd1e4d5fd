"""Limits, rates and shares under kills, long pauses and lost messages, and mistakes that seeds have to find."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.io import run
from pynenc.model.records import Submission
from pynenc.model.status import InvocationStatus
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import Store
from pynenc.testing.simulation.explore import GATED, examine, report, shrink
from tests.simulation.gate_mutants import GATE_MUTANTS, RARE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_SEEDS = 400
_CHUNK = 50
_MOST_SEEDS = 1_500


def _failures(first: int) -> list[str]:
    """Play a chunk of seeds; return reports of those that fail, made small."""
    runs = (examine(seed, GATED) for seed in range(first, first + _CHUNK))
    return [report(shrink(run)) for run in runs if run.findings]


def test_every_gated_seed_keeps_all_promises() -> None:
    processes = int(os.environ.get("PYNENC_SIMULATION_PROCESSES", os.cpu_count() or 1))

    with ProcessPoolExecutor(processes) as pool:
        failures = [text for chunk in pool.map(_failures, range(0, _SEEDS, _CHUNK)) for text in chunk]

    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("name", sorted(GATE_MUTANTS.keys() - RARE.keys()))
def test_a_mutant_of_the_gates_is_killed(name: str, record_property: Callable[[str, object], None]) -> None:
    with GATE_MUTANTS[name].applied():
        needed = next((seed for seed in range(_MOST_SEEDS) if examine(seed, GATED).findings), None)

    assert needed is not None, f"{name} survives {_MOST_SEEDS} seeds"
    record_property("seeds", needed + 1)
    print(f"{name}: seed {needed}")


@pytest.mark.parametrize("name", sorted(RARE))
def test_a_rare_mutant_breaks_its_promise(name: str) -> None:
    contract: Any = RARE[name]

    def check() -> None:
        clock = FakeClock()
        store = Store(MemoryBackend(clock=clock), run, clock)
        owner = getattr(import_module(contract.__module__), contract.__qualname__.partition(".")[0])
        contract(owner(), store)

    check()
    with GATE_MUTANTS[name].applied(), pytest.raises(AssertionError):
        check()


def test_seeds_meet_gates_of_every_kind_closed_and_open() -> None:
    kinds: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    ends: Counter[InvocationStatus] = Counter()
    for seed in range(60):
        evidence = examine(seed, GATED).played.evidence
        items = (item for each in evidence.history.applied if each.operation == "submit" for item in each.arguments[0])
        kinds.update(kind for item in items for kind in _kinds(item))
        operations.update(each.operation for each in evidence.history.applied)
        ends.update(snapshot.outcome.status for snapshot in evidence.snapshots if snapshot.outcome is not None)

    assert set(kinds) == {"slots", "rate", "breaker", "flow"}
    assert min(operations["put_gate"], operations["clear_gate"]) > 10
    assert ends[InvocationStatus.CONCURRENCY_CONTROLLED_FINAL] > 10
    assert ends[InvocationStatus.SUCCESS] > 10


def _kinds(item: Submission) -> list[str]:
    names = [gate.name for gate in item.gates] + ([item.flow.name] if item.flow is not None else [])
    return [name.partition(":")[0] for name in names]
