"""A store that was moved goes on exactly like one that was not, whatever was asked of it before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from pynenc.backends.memory import MemoryBackend
from pynenc.core.moving import Move
from pynenc.io import run
from pynenc.testing.differential import Command, Player, TraceClock, traces
from tests import stores

PAIRS = [("memory", "sqlite"), ("sqlite", "redis"), ("redis", "postgresql"), ("postgresql", "memory")]
_EXAMPLES = {"memory": 25, "sqlite": 25}
_FEW_EXAMPLES = 8
_LEASES_US = 60_000_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_moved_store_goes_on_as_if_it_had_not_moved(source: str, target: str, tmp_path: Path) -> None:
    @settings(
        max_examples=_EXAMPLES.get(source, _FEW_EXAMPLES),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @seed(1)
    @given(traces(), traces())
    def examine(first: list[Command], second: list[Command]) -> None:
        clock = TraceClock()
        reference = MemoryBackend(clock=clock)
        with (
            stores.fresh_store(source, tmp_path, clock) as out,
            stores.fresh_store(target, tmp_path, clock) as into,
        ):
            player = Player((reference, out), clock)
            for command in (Command("open_session"), Command("submit", 2), *first):
                player.play(command)
            clock.now_us += _LEASES_US
            while run(reference.orchestrator.tick(budget=1_000)).more:
                pass

            Move(out, into).carry()

            player.replace(into)
            for command in (Command("open_session"), *second):
                player.play(command)

    examine()
