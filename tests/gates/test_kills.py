"""Processes that are killed inside a gate: their place is free once their lease is over, and not before."""

from __future__ import annotations

import pytest

from pynenc.model.gates import SlotGate
from tests.gates.contenders import Arena, most_at_once

LEASE_US = 8_000_000
"""Long enough for a process that renews it on a machine that has much else to do."""


@pytest.mark.faults
@pytest.mark.parametrize("limit", [1, 3])
def test_the_place_of_a_killed_holder_is_free_after_its_lease(arena: Arena, limit: int) -> None:
    ids = arena.submit(40, gates=(SlotGate(key="k", limit=limit),))
    holders = arena.holders(limit, lease_us=LEASE_US)
    before = arena.claim(1)
    for holder in holders:
        arena.kill(holder)

    arena.hammer(4, len(ids))

    runs = arena.runs()
    assert before == ()
    assert len(runs) == len(ids) + limit
    assert most_at_once(runs) <= limit
    arena.check_everything_is_done(ids)


@pytest.mark.faults
def test_the_next_of_an_ordering_key_starts_only_after_the_killed_one_was_repeated(arena: Arena) -> None:
    ids = arena.submit(20, gates=(SlotGate(key="k", limit=1, block_lane_on_retry=True),))
    for holder in arena.holders(1, lease_us=LEASE_US):
        arena.kill(holder)

    arena.hammer(4, len(ids))

    runs = arena.runs()
    assert [each.invocation_id for each in runs] == [ids[0], *ids]
    assert most_at_once(runs) == 1
    arena.check_everything_is_done(ids)
