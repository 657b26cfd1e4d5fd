"""Nothing is lost, nothing happens twice: seeds of the simulator, each with its own mishaps."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from pynenc.testing.simulation.explore import examine, report, shrink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_SEEDS = 5_000
_CHUNK = 250


def _failures(first: int) -> list[str]:
    """Play a chunk of seeds; return reports of those that fail, made small."""
    failing = (run for run in map(examine, range(first, first + _CHUNK)) if run.findings)
    return [report(shrink(run)) for run in failing]


def test_every_seed_keeps_all_promises() -> None:
    processes = int(os.environ.get("PYNENC_SIMULATION_PROCESSES", os.cpu_count() or 1))

    with ProcessPoolExecutor(processes) as pool:
        failures = [text for chunk in pool.map(_failures, range(0, _SEEDS, _CHUNK)) for text in chunk]

    assert not failures, "\n".join(failures)


def test_a_seed_plays_the_same_way_every_time() -> None:
    for seed in range(20):
        one, other = examine(seed, trace=True), examine(seed, trace=True)

        assert _without_addresses(one.played.trace) == _without_addresses(other.played.trace)
        assert one.played.evidence.dump == other.played.evidence.dump
        assert one.played.events == other.played.events


def _without_addresses(trace: list[str]) -> list[str]:
    # Real doorbells have new addresses each time; nothing else may differ.
    return [line for line in trace if "open_session" not in line and "list_sessions" not in line]


def test_all_kinds_of_mishaps_and_operations_occur() -> None:
    faults: set[str] = set()
    operations: set[str] = set()
    for seed in range(150):
        played = examine(seed).played
        faults |= {what.split(" ")[0] for what in played.faults}
        operations |= {record.operation for record in played.evidence.history.applied}

    # A clock that runs too fast or slow is a property of a process, not an event.
    assert faults - {""} == {
        "lost_request",
        "lost_reply",
        "repeated_request",
        "slow_message",
        "lost_ring",
        "kill",
        "freeze",
        "worker_crash",
        "drain",
        "outage",
        "clock_jump",
    }
    assert operations >= {"submit", "exchange", "watch", "cancel", "pause", "tick", "list_owned", "close_session"}
