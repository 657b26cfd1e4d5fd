"""Storms over every store and level: workers, runners, the network and servers fail; nothing is lost."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.records import keep
from tests.faults.scenes import ClusterScene, EmbeddedScene, PooledScene, ProxiedScene, Scene, SentinelScene
from tests.faults.storm import Storm
from tests.servers import PostgresServer, RedisServer

FAULTS = int(os.environ.get("PYNENC_TEST_FAULTS") or 0)
"""Per store and level; `make test-faults` asks for many, else each takes the sample it names below."""

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    # Far more than it takes: what hangs is to be seen while the run still goes on.
    pytest.mark.timeout(400 + 8 * FAULTS),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find worker processes"),
]
SEED = int(os.environ.get("PYNENC_TEST_SEED", "20261"))


class Column(NamedTuple):
    """One store at one level."""

    store: str
    durability: str
    sample: int
    scene: Callable[[Path, random.Random], Scene]


def _redis(folder: Path, rng: random.Random, fsync: str | None, durability: str, *, kills: bool = True) -> Scene:
    server = RedisServer(folder / "server", appendfsync=fsync)  # type: ignore[arg-type]  # one of those it takes
    return ProxiedScene(server, durability, rng, kills=kills)


def _postgresql(folder: Path, rng: random.Random, durability: str, *, kills: bool) -> Scene:
    return ProxiedScene(PostgresServer(folder / "server"), durability, rng, kills=kills)


COLUMNS = [
    Column("SQLite", "none", 10, lambda folder, rng: EmbeddedScene(folder, "none", rng)),
    Column("SQLite", "normal", 40, lambda folder, rng: EmbeddedScene(folder, "normal", rng)),
    Column("SQLite", "full", 10, lambda folder, rng: EmbeddedScene(folder, "full", rng)),
    Column("Redis", "none", 10, lambda folder, rng: _redis(folder, rng, None, "none", kills=False)),
    Column("Redis", "normal", 25, lambda folder, rng: _redis(folder, rng, "everysec", "normal")),
    Column("Redis", "full", 15, lambda folder, rng: _redis(folder, rng, "always", "full")),
    Column("Redis", "replicated", 12, lambda folder, rng: SentinelScene(folder / "servers", rng)),
    Column(
        "Redis Cluster", "normal", 12, lambda folder, rng: ClusterScene(folder / "servers", "everysec", "normal", rng)
    ),
    # A killed server loses nothing that was committed with synchronous_commit=off but the last moments, so only a storm
    # without the death of the server is judged there.
    Column("PostgreSQL", "normal", 12, lambda folder, rng: _postgresql(folder, rng, "normal", kills=False)),
    Column("PostgreSQL", "full", 25, lambda folder, rng: _postgresql(folder, rng, "full", kills=True)),
    Column("PostgreSQL, pgbouncer", "full", 12, lambda folder, rng: PooledScene(folder, rng)),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.store}-{column.durability}")
def test_a_storm_loses_nothing(tmp_path: Path, column: Column) -> None:
    rng = random.Random(SEED)
    scene = column.scene(tmp_path, rng)
    storm = Storm(scene, tmp_path, rng)

    findings = storm.rage(FAULTS or column.sample)

    keep(
        *("storm", column.store, column.durability),
        faults=dict(storm.faults),
        server=storm.server,
        trees=storm.trees,
        invocations=storm.invocations,
        findings=list(map(str, findings)),
    )
    assert findings == [], "\n".join(map(str, findings))
    assert storm.exit_codes == [0] * len(storm.exit_codes)
    assert storm.survivors == []
    assert scene.left_over() == []
    print(f"{sum(storm.faults.values())} faults: {dict(storm.faults)}")
