"""Eight processes at one gate: never above the limit, nothing forgotten, nothing unsound afterwards."""

from __future__ import annotations

import pytest

from pynenc.model.gates import Flow, RateGate, SlotGate
from tests.gates.contenders import Arena, closest_us, most_at_once

PROCESSES = 8


@pytest.mark.parametrize("limit", [1, 3])
def test_processes_that_race_for_a_key_never_exceed_its_limit(arena: Arena, limit: int) -> None:
    ids = arena.submit(160, gates=(SlotGate(key="k", limit=limit),))

    arena.hammer(PROCESSES, len(ids))

    runs = arena.runs()
    assert len(runs) == len(ids)
    assert most_at_once(runs) <= limit
    arena.check_everything_is_done(ids)


def test_keys_of_their_own_are_kept_apart(arena: Arena) -> None:
    keys = {key: arena.submit(20, gates=(SlotGate(key=key, limit=1),)) for key in ("a", "b", "c", "d", "e", "f")}
    plain = arena.submit(40)
    every = [*plain, *(each for ids in keys.values() for each in ids)]

    arena.hammer(PROCESSES, len(every))

    runs = arena.runs()
    assert len(runs) == len(every)
    for ids in keys.values():
        assert most_at_once([each for each in runs if each.invocation_id in set(ids)]) == 1
    arena.check_everything_is_done(every)


def test_a_rate_is_never_exceeded_in_any_window(arena: Arena) -> None:
    gate = RateGate(key="k", interval_us=20_000, burst=3)
    ids = arena.submit(60, gates=(gate,))

    arena.hammer(PROCESSES, len(ids))

    starts_us = arena.starts_us(ids)
    for more in range(1, len(ids) - gate.burst + 1):
        assert closest_us(starts_us, gate.burst + more - 1) >= more * gate.interval_us
    arena.check_everything_is_done(ids)


def test_an_ordering_key_starts_in_the_order_of_submission_also_across_delayed_retries(arena: Arena) -> None:
    gate = SlotGate(key="k", limit=1, block_lane_on_retry=True)
    ids = [arena.submit(1, gates=(gate,), arguments=b"again" if n % 4 == 1 else b"")[0] for n in range(80)]

    arena.hammer(PROCESSES, len(ids))

    expected = [each for n, each in enumerate(ids) for _ in range(2 if n % 4 == 1 else 1)]
    runs = arena.runs()
    assert [each.invocation_id for each in runs] == expected
    assert most_at_once(runs) == 1
    arena.check_everything_is_done(ids)


def test_flows_behind_a_shared_gate_all_come_to_their_end(arena: Arena) -> None:
    gates = (SlotGate(key="shared", limit=2), SlotGate(key="k", limit=1))
    ids = [each for key in ("a", "b", "c") for each in arena.submit(40, gates=gates, flow=Flow(key))]
    ids += arena.submit(20, gates=gates[:1])

    arena.hammer(PROCESSES, len(ids))

    runs = arena.runs()
    assert len(runs) == len(ids)
    assert most_at_once(runs) <= 2
    arena.check_everything_is_done(ids)
