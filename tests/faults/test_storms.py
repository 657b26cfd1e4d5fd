"""Storms over every store on a server: workers, runners, the network and the server fail; nothing is lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.storm import Storm
from tests.servers import RedisServer

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
        _weather(storm)


def _weather(storm: Storm) -> None:
    findings = storm.rage(FAULTS)

    assert findings == [], "\n".join(map(str, findings))
    assert storm.exit_codes == [0] * len(storm.exit_codes)
    assert storm.survivors == []
    print(f"{sum(storm.faults.values())} faults: {dict(storm.faults)}")
