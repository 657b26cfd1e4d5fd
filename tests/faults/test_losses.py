"""What each level of durability keeps and what it loses, staged for real: a killed server, a loss of power, a failover.

Writers note every submission and every outcome that a store acknowledges; then disaster comes, and what the store no
longer knows is counted. What a level promises must be there; for the rest the number goes to the page of guarantees.
Whole operations may be lost there, but what is left has to be sound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.proxy import FaultyProxy
from tests.faults.records import keep
from tests.faults.writers import Writers, losses
from tests.private_servers.disk import Disk
from tests.private_servers.postgresql import PostgresServer, Standby, server_account
from tests.private_servers.process import ServerProcess
from tests.private_servers.redis import AppendFsync, RedisCluster, RedisSentinels, RedisServer, slot_owner

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, mounts file systems"),
]

FSYNC: dict[str, AppendFsync | None] = {"none": None, "normal": "everysec", "full": "always"}
ENOUGH = 1_500
"""Acknowledged writes before disaster comes."""
FEW = 300
"""Where each waits for a disk."""


def _judge(store: str, durability: str, event: str, url: str, writers: Writers, *, promised: bool) -> None:
    writers.close()
    lost = losses(url, writers)
    number = lost.submissions + lost.outcomes
    # Without any order of writes the file itself may be damaged.
    findings = [] if (store, durability) == ("SQLite", "none") else [*lost.violations]
    if promised and number:
        findings.append(f"{lost.submissions} submissions and {lost.outcomes} outcomes were lost")
    if promised and lost.sessions:
        findings.append(f"{lost.sessions} session numbers were handed out twice")
    keep(
        *("loss", store, durability, event),
        acknowledged=writers.acknowledged,
        lost=number,
        promised=promised,
        findings=findings,
    )
    print(f"{store} {durability}, {event}: {number} of {writers.acknowledged} lost")
    assert findings == []


def _url(server: ServerProcess, durability: str) -> str:
    return f"{server.url}?durability={durability}&call_timeout_s=2"


def _kill(server: ServerProcess) -> None:
    server.kill()
    server.start()


# --- the server is killed ---


@pytest.mark.parametrize("durability", ["none", "normal", "full"])
def test_what_a_killed_redis_loses(tmp_path: Path, durability: str) -> None:
    with RedisServer(tmp_path / "server", FSYNC[durability]) as server:
        writers = Writers(_url(server, durability))
        writers.wait_for(ENOUGH)

        _kill(server)

        _judge("Redis", durability, "server killed", _url(server, durability), writers, promised=durability != "none")


def test_what_a_killed_node_of_a_cluster_loses(tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "servers") as cluster:
        url = f"{cluster.url}?call_timeout_s=5"
        writers = Writers(url)
        writers.wait_for(ENOUGH)

        _kill(slot_owner(cluster, "{losses}:"))

        _judge("Redis Cluster", "normal", "server killed", url, writers, promised=True)


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_what_a_killed_postgresql_loses(tmp_path: Path, durability: str) -> None:
    # The writer of the log takes its time, as on a busy server: what is not on disk by then is in the server's memory.
    settings = {"wal_writer_delay": "500ms", "wal_writer_flush_after": "64MB"}
    with PostgresServer(tmp_path / "server", settings=settings) as server:
        writers = Writers(_url(server, durability))
        writers.wait_for(ENOUGH)

        _kill(server)

        _judge(
            "PostgreSQL", durability, "server killed", _url(server, durability), writers, promised=durability == "full"
        )


def test_no_session_number_is_handed_out_twice_though_the_last_moments_are_lost(tmp_path: Path) -> None:
    settings = {"wal_writer_delay": "10s", "wal_writer_flush_after": "64MB"}
    with PostgresServer(tmp_path / "server", settings=settings) as server:
        url = _url(server, "normal")
        writers = Writers(url)
        writers.wait_for(FEW)

        _kill(server)

        writers.close()
        lost = losses(url, writers)
        assert lost.sessions == 0
        assert lost.violations == ()


# --- the power fails ---


@pytest.mark.parametrize("durability", ["none", "normal", "full"])
def test_what_sqlite_loses_with_the_power(durability: str) -> None:
    with Disk() as disk:
        url = f"sqlite:///{disk.path / 'losses.db'}?durability={durability}"
        writers = Writers(url, number=2)
        writers.wait_for(1)
        disk.sync()
        writers.wait_for(FEW if durability == "full" else ENOUGH)

        writers.halt()
        disk.keep_what_is_synced()
        writers.close()
        disk.lose_power()

        _judge("SQLite", durability, "power", url, writers, promised=durability == "full")


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_what_redis_loses_with_the_power(durability: str) -> None:
    with (
        Disk() as disk,
        RedisServer(disk.folder("redis"), FSYNC[durability]) as server,
    ):
        disk.sync()
        writers = Writers(_url(server, durability))
        writers.wait_for(FEW if durability == "full" else 2 * ENOUGH)

        _lose_power(disk, server)

        _judge("Redis", durability, "power", _url(server, durability), writers, promised=durability == "full")


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_what_postgresql_loses_with_the_power(tmp_path: Path, durability: str) -> None:
    with (
        Disk() as disk,
        PostgresServer(tmp_path / "log", data_parent=disk.folder("postgresql", server_account())) as server,
    ):
        writers = Writers(_url(server, durability))
        writers.wait_for(1)
        disk.sync()
        writers.wait_for(FEW if durability == "full" else ENOUGH)

        _lose_power(disk, server)

        _judge("PostgreSQL", durability, "power", _url(server, durability), writers, promised=durability == "full")


def _lose_power(disk: Disk, server: ServerProcess) -> None:
    server.pause()
    disk.keep_what_is_synced()
    server.kill()
    disk.lose_power()
    server.start()


# --- another server takes over ---


@pytest.mark.parametrize("durability", ["normal", "full", "replicated"])
def test_what_a_failover_of_redis_loses(tmp_path: Path, durability: str) -> None:
    fsync: AppendFsync = "always" if durability == "full" else "everysec"
    with RedisSentinels(tmp_path / "servers", appendfsync=fsync) as servers:
        master, replica = servers.master(), servers.replica()
        with FaultyProxy("127.0.0.1", master.port) as line:
            # Sentinels would set this right, but only after they have looked at it for eight seconds.
            replica.ask("REPLICAOF", "127.0.0.1", line.port)
            servers.wait_until_linked(replica)
            url = f"{servers.url}?durability={durability}&call_timeout_s=2"
            writers = Writers(url)
            writers.wait_for(FEW)

            line.hold()
            _write_behind_the_line(writers, waits=durability == "replicated")
            master.kill()
            line.break_all()
            servers.wait_for_another_master(master)
            servers.rejoin(master)

            _judge("Redis", durability, "failover", url, writers, promised=durability == "replicated")


@pytest.mark.parametrize("durability", ["full", "replicated"])
def test_what_a_failover_of_postgresql_loses(tmp_path: Path, durability: str) -> None:
    names = "*" if durability == "replicated" else ""
    settings = {"wal_level": "replica", "synchronous_standby_names": names}
    with (
        PostgresServer(tmp_path / "first", settings=settings) as first,
        FaultyProxy("127.0.0.1", first.port) as line,
        Standby(tmp_path / "second", first, line.port) as second,
    ):
        first.wait_for_standbys(1)
        user = first.url.removeprefix("postgresql://").partition("@")[0]
        places = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        options = f"target_session_attrs=read-write&durability={durability}&call_timeout_s=2"
        url = f"postgresql://{user}@{places}/pynenc?{options}"
        writers = Writers(url)
        writers.wait_for(FEW)

        line.hold()
        _write_behind_the_line(writers, waits=durability == "replicated")
        first.kill()
        line.break_all()
        second.promote()

        _judge("PostgreSQL", durability, "failover", url, writers, promised=durability == "replicated")


def _write_behind_the_line(writers: Writers, *, waits: bool) -> None:
    """Write on while the second server learns of nothing: acknowledged without it, or refused."""
    if waits:
        writers.wait_for(refusals=writers.refusals + 1)
    else:
        writers.wait_for(writers.acknowledged + FEW)
