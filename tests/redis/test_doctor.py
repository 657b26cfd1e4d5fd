"""What `pynenc doctor` says of a Redis server: each trouble by name, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from pynenc.backends.redis import diagnosing
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.ports.backend import Finding
from tests.private_servers.process import wait_until
from tests.private_servers.redis import replicates
from tests.servers import RedisServer


def findings_of(server: RedisServer, durability: str, **options: int) -> dict[str, Finding]:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    backend = open_backend(f"{server.url}?durability={durability}{more}", app_id="app")
    try:
        return {each.subject: each for each in run(backend.diagnose())}
    finally:
        backend.close()


@contextmanager
def settings(client: redis.Redis, **wanted: str) -> Iterator[None]:
    """Change settings of the server for a while."""
    with ExitStack() as undoing:
        for name, value in wanted.items():
            setting = name.replace("_", "-")
            undoing.callback(client.config_set, setting, str(client.config_get(setting)[setting]))
            client.config_set(setting, value)
        yield


@pytest.mark.parametrize("durability", ["none", "normal"])
def test_a_server_that_keeps_what_is_promised_has_no_troubles(
    server: RedisServer, client: redis.Redis, durability: str
) -> None:
    findings = findings_of(server, durability)

    assert {each.level for each in findings.values()} == {"ok"}
    assert findings["maxmemory-policy"].detail == "noeviction"
    assert findings["durability"].detail.startswith(durability)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_an_error(server: RedisServer, client: redis.Redis, policy: str) -> None:
    with settings(client, maxmemory_policy=policy):
        found = findings_of(server, "normal")["maxmemory-policy"]

    assert (found.level, found.remedy) == ("error", "CONFIG SET maxmemory-policy noeviction")
    assert policy in found.detail


@pytest.mark.parametrize("durability", ["normal", "full", "replicated"])
def test_a_server_without_its_append_only_file_is_an_error_unless_nothing_is_promised(
    server: RedisServer, client: redis.Redis, durability: str
) -> None:
    with settings(client, appendonly="no"):
        found = findings_of(server, durability)["persistence"]
        unpromised = findings_of(server, "none")

    assert found.level == "error"
    assert f"durability={durability}" in found.detail
    assert "appendonly yes" in found.remedy
    assert "persistence" not in unpromised


def test_syncing_once_a_second_is_too_seldom_for_full_durability(server: RedisServer, client: redis.Redis) -> None:
    with settings(client, appendfsync="everysec"):
        promised, enough = findings_of(server, "full"), findings_of(server, "normal")
    with settings(client, appendfsync="always"):
        kept = findings_of(server, "full")

    assert promised["appendfsync"].level == "error"
    assert promised["appendfsync"].detail.startswith("everysec")
    assert "appendfsync" not in enough
    assert {each.level for each in kept.values()} == {"ok"}


def test_leaving_the_syncing_to_the_system_is_a_warning(server: RedisServer, client: redis.Redis) -> None:
    with settings(client, appendfsync="no"):
        found = findings_of(server, "normal")["appendfsync"]

    assert found.level == "warning"


def test_too_few_replicas_are_an_error_until_they_are_connected(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    alone = findings_of(server, "replicated")["replication"]

    with RedisServer(tmp_path / "replica", lines=[f"replicaof 127.0.0.1 {server.port}"]) as replica:
        wait_until(lambda: replicates(replica))
        one, two = findings_of(server, "replicated"), findings_of(server, "replicated", replicas=2)

    assert (alone.level, one["replication"].level, two["replication"].level) == ("error", "ok", "error")
    assert "asks for 2 replicas, 1 are connected" in two["replication"].detail


@pytest.mark.parametrize("off_s", [-90.0, 90.0])
def test_a_clock_that_differs_is_a_warning_that_says_by_how_much(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, off_s: float
) -> None:
    here = time.time
    monkeypatch.setattr(time, "time", lambda: here() - off_s)

    found = findings_of(server, "normal")["clock"]

    assert found.level == "warning"
    assert f"{off_s:+.0f}"[:3] in found.detail
    assert "synchronise" in found.remedy


def test_a_server_that_is_down_is_the_only_finding(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        pass

    backend = open_backend(f"{server.url}?call_timeout_s=0.3", app_id="app")
    found = run(backend.diagnose())
    backend.close()

    assert [(each.level, each.subject) for each in found] == [("error", "server")]


VALKEY_7 = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.8\r\nredis_mode:standalone\r\n"
VALKEY_8 = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\nserver_mode:cluster\r\n"
VALKEY_OLD_FIRST = (
    "# Server\r\nserver_name:valkey\r\nvalkey_version:10.0.0\r\nredis_version:6.0.0\r\nserver_mode:standalone\r\n"
)


@pytest.mark.parametrize(
    ("info", "level", "detail"),
    [
        ("# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n", "ok", "Redis 6.2.14, mode standalone"),
        ("# Server\r\nredis_version:8.0.0\r\nredis_mode:cluster\r\n", "ok", "Redis 8.0.0, mode cluster"),
        ("# Server\r\nredis_version:10.1.0\r\nredis_mode:sentinel\r\n", "ok", "Redis 10.1.0, mode sentinel"),
        ("# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\n", "error", "Redis 6.0.16 lacks commands"),
        ("# Server\r\nredis_version:5.0.7\r\nredis_mode:standalone\r\n", "error", "Redis 5.0.7 lacks commands"),
        (VALKEY_7, "ok", "Valkey 7.2.8, mode standalone"),
        (VALKEY_8, "ok", "Valkey 8.1.1, mode cluster"),
        (VALKEY_OLD_FIRST, "ok", "Valkey 10.0.0, mode standalone"),
    ],
)
def test_versions_of_redis_and_valkey_are_told_apart(info: str, level: str, detail: str) -> None:
    found = diagnosing.version_of(diagnosing.facts_in(info.encode()))

    assert found.level == level
    assert found.detail.startswith(detail)
