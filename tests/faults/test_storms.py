"""Storms over every store on a server: workers, runners, the network and the server fail; nothing is lost."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.faults.storm import Storm
from tests.servers import PostgresServer, RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find worker processes"),
]

FAULTS = int(os.environ.get("PYNENC_TEST_FAULTS", "25"))
"""Per store; `make test-faults` asks for more."""
SEED = int(os.environ.get("PYNENC_TEST_SEED", "20261"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a storm sets taken back."""
    for name in ("PYNENC_URL", "PYNENC__LEASE_SECONDS", "PYNENC__MAX_CRASHES", "FAULT_LOG"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_redis_loses_nothing(tmp_path: Path, fsync: str) -> None:
    durability = "normal" if fsync == "everysec" else "full"
    with RedisServer(tmp_path / "server", appendfsync=fsync) as server:  # type: ignore[arg-type]
        storm = Storm(server, tmp_path, SEED, lambda host, port: f"redis://{host}:{port}/0?durability={durability}")
        _weather(storm, f"Redis, AOF {fsync}", durability)


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_postgresql_loses_nothing(tmp_path: Path, durability: str) -> None:
    # A killed server loses nothing that was committed with synchronous_commit=off but the last moments, so only a storm
    # without the death of the server is judged there.
    with PostgresServer(tmp_path / "server") as server:
        place = server.url.rpartition("@")

        def url_of(host: str, port: int) -> str:
            return f"{place[0]}{place[1]}{host}:{port}/{server.url.rpartition('/')[2]}?durability={durability}"

        without = ("server killed",) if durability == "normal" else ()
        _weather(Storm(server, tmp_path, SEED, url_of, without=without), "PostgreSQL", durability)


def _weather(storm: Storm, store: str, durability: str) -> None:
    findings = storm.rage(FAULTS)
    _keep_result(storm, store, durability, list(map(str, findings)))

    assert findings == [], "\n".join(map(str, findings))
    assert storm.exit_codes == [0] * len(storm.exit_codes)
    assert storm.survivors == []
    print(f"{sum(storm.faults.values())} faults: {dict(storm.faults)}")


def _keep_result(storm: Storm, store: str, durability: str, findings: list[str]) -> None:
    """Add the result to the file that `scripts/guarantees` makes a page of."""
    path = os.environ.get("PYNENC_TEST_RESULTS")
    if path:
        row = {
            "store": store,
            "durability": durability,
            "faults": dict(storm.faults),
            "invocations": storm.invocations,
            "findings": findings,
        }
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
