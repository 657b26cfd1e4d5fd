"""The script that starts servers for tests, and the private servers that tests start themselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.processes import is_alive
from tests.private_servers.process import Server
from tests.servers import PostgresServer, RedisCluster, RedisSentinels, RedisServer, ServerFailed, url_of

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "services"
NAMES = ["redis", "postgresql", "pgbouncer", "redis-cluster", "redis-sentinel", "s3"]
PRIVATE: list[type[RedisServer | PostgresServer | RedisCluster | RedisSentinels]] = [
    RedisServer,
    PostgresServer,
    RedisCluster,
    RedisSentinels,
]


def services(*arguments: str, state: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a state of its own, and without what the environment of the tests gives."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC_TEST_") and name != "CI"}
    return subprocess.run(
        [SCRIPT, *arguments],
        env={**given, "PYNENC_SERVICES": str(state), **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def addresses(state: Path) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in services("env", state=state).stdout.splitlines())


def redis_pid(url: str) -> int:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        pid: int = client.execute_command("INFO", "server")["process_id"]
        return pid


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("select current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state of a checkout for which nothing was started."""
    yield tmp_path / "services"
    services("stop", state=tmp_path / "services")


@pytest.fixture
def with_redis(state: Path) -> Path:
    """The same, with a Redis server that the script started."""
    if "not installed" in services("status", "redis", state=state).stdout:
        url_of("redis")
    started = services("start", "redis", state=state)
    assert started.returncode == 0, started.stderr
    return state


@pytest.mark.parametrize("verb", ["stop", "status", "env"])
def test_stopping_and_asking_succeed_where_nothing_runs(state: Path, verb: str) -> None:
    assert services(verb, state=state).returncode == 0


def test_starting_twice_leaves_what_answers_alone(with_redis: Path) -> None:
    before = redis_pid(addresses(with_redis)["PYNENC_TEST_REDIS"])

    again = services("start", "redis", state=with_redis)

    assert (again.returncode, again.stderr) == (0, "")
    assert redis_pid(addresses(with_redis)["PYNENC_TEST_REDIS"]) == before


def test_a_server_that_was_killed_is_started_anew(with_redis: Path) -> None:
    os.kill(redis_pid(addresses(with_redis)["PYNENC_TEST_REDIS"]), signal.SIGKILL)

    assert services("status", "redis", state=with_redis).stdout == "redis: down\n"
    services("start", "redis", state=with_redis)

    assert services("status", "redis", state=with_redis).stdout == "redis: up\n"
    assert is_alive(redis_pid(addresses(with_redis)["PYNENC_TEST_REDIS"]))


def test_stopping_ends_only_what_was_started(with_redis: Path, tmp_path: Path) -> None:
    started = redis_pid(addresses(with_redis)["PYNENC_TEST_REDIS"])
    folder = Path((with_redis / "redis" / "folder").read_text(encoding="utf-8").strip())

    with RedisServer(tmp_path / "own") as own:
        # The file of a server that is gone names a process that has its number now.
        (folder / "reused.pid").write_text(f"{own.pid}\n", encoding="utf-8")
        services("stop", state=with_redis)

        assert own.ask("PING")
    assert not is_alive(started)
    assert not folder.exists()
    assert addresses(with_redis) == {}


def test_nothing_is_started_for_an_address_that_the_environment_gives(state: Path) -> None:
    done = services("start", "redis", state=state, PYNENC_TEST_REDIS="redis://redis.example:6379/0")

    assert done.returncode == 0
    assert "PYNENC_TEST_REDIS is given" in done.stderr
    assert addresses(state) == {}


@pytest.mark.parametrize(("ci", "code"), [("false", 0), ("true", 1)])
def test_a_missing_server_is_a_failure_in_ci_only(state: Path, tmp_path: Path, ci: str, code: int) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cat", "dirname", "id", "mkdir", "mv", "rm", "tr"):
        (programs / name).symlink_to(str(shutil.which(name)))

    done = services("start", "redis", state=state, CI=ci, PATH=str(programs))

    assert done.returncode == code
    assert "please install redis-server, or set PYNENC_TEST_REDIS" in done.stderr


def test_the_address_of_the_environment_comes_first(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir()
    (state / "env").write_text("PYNENC_TEST_REDIS=redis://127.0.0.1:1/0\n", encoding="utf-8")
    monkeypatch.setenv("PYNENC_SERVICES", str(state))
    monkeypatch.setenv("PYNENC_TEST_REDIS", "redis://redis.example:6379/0")

    assert url_of("redis") == "redis://redis.example:6379/0"


@pytest.mark.parametrize("recorded", ["", "PYNENC_TEST_REDIS=redis://127.0.0.1:1/0\n"], ids=["none", "stale"])
def test_a_test_without_its_server_is_skipped_but_fails_in_ci(
    state: Path, monkeypatch: pytest.MonkeyPatch, recorded: str
) -> None:
    state.mkdir()
    (state / "env").write_text(recorded, encoding="utf-8")
    monkeypatch.setenv("PYNENC_SERVICES", str(state))
    monkeypatch.delenv("PYNENC_TEST_REDIS", raising=False)

    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception) as skipped:
        url_of("redis")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception) as failed:
        url_of("redis")

    assert "scripts/services start" in str(skipped.value)
    assert "scripts/services start" in str(failed.value)


@pytest.mark.parametrize("name", ["redis", "redis-unix"])
def test_the_shared_redis_never_evicts_and_keeps_what_it_was_given(name: str) -> None:
    url = url_of(name).replace("redis+unix://", "unix://")

    with redis.Redis.from_url(url, decode_responses=True) as client:
        settings = client.execute_command("CONFIG GET", "maxmemory-policy", "appendonly", "appendfsync")

    assert settings == {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"}


@pytest.mark.parametrize("name", ["postgresql", "postgresql-unix"])
def test_the_shared_postgresql_is_durable(name: str) -> None:
    url = url_of(name)

    settings = {name: setting(url, name) for name in ("fsync", "synchronous_commit", "max_connections")}

    assert settings == {"fsync": "on", "synchronous_commit": "on", "max_connections": "200"}


def test_pgbouncer_shares_one_connection_between_transactions_of_two_clients() -> None:
    # Other tests use the pool of the database `pynenc`.
    url = url_of("pgbouncer").removesuffix("pynenc") + "postgres"

    with psycopg.connect(url, autocommit=True) as first, psycopg.connect(url, autocommit=True) as second:
        pids = [connection.execute("select pg_backend_pid()").fetchone() for connection in (first, second)]

    assert pids[0] == pids[1]


def test_the_shared_cluster_serves_all_slots_from_three_masters() -> None:
    host, port = url_of("redis-cluster").removeprefix("redis+cluster://").split(",")[0].split(":")

    with redis.Redis(host, int(port), decode_responses=True) as client:
        info = client.execute_command("CLUSTER INFO")

    assert (info["cluster_slots_ok"], info["cluster_size"]) == ("16384", "3")


def test_the_shared_sentinels_can_replace_their_master() -> None:
    hosts, name = url_of("redis-sentinel").removeprefix("redis+sentinel://").split("/")
    host, port = hosts.split(",")[0].split(":")

    with redis.Redis(host, int(port), decode_responses=True) as client:
        words = client.execute_command("SENTINEL", "CKQUORUM", name)

    assert words.startswith("OK 3 ")


@pytest.mark.faults
@pytest.mark.parametrize("kind", PRIVATE)
def test_a_private_server_answers_at_its_address_again_after_it_was_killed(
    kind: type[RedisServer | PostgresServer | RedisCluster | RedisSentinels], tmp_path: Path
) -> None:
    with kind(tmp_path) as server:
        url = server.url
        server.kill()
        server.restart()
        server.restart()

        assert server.url == url


@pytest.mark.faults
def test_a_redis_server_that_syncs_always_keeps_every_write_over_a_kill(tmp_path: Path) -> None:
    with RedisServer(tmp_path, appendfsync="always") as server:
        server.ask("SET", "key", "value")
        server.kill()
        server.restart()

        assert server.ask("GET", "key") == "value"


@pytest.mark.faults
def test_a_postgresql_server_keeps_every_commit_over_a_kill(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("create table kept (value integer)")
        server.kill()
        server.restart()

        with psycopg.connect(server.url) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (0,)


@pytest.mark.faults
def test_killing_postgresql_leaves_none_of_its_processes(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as server:
        connection = psycopg.connect(server.url)
        pids = [server.pid, connection.info.backend_pid]
        server.kill()
        connection.close()

        assert [pid for pid in pids if is_alive(pid)] == []


@pytest.mark.faults
def test_a_paused_server_takes_connections_but_answers_only_when_resumed(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        once = Retry(NoBackoff(), 0)
        server.pause()
        with redis.Redis(port=server.port, socket_timeout=0.2, retry=once) as client, pytest.raises(redis.TimeoutError):
            client.execute_command("PING")
        server.resume()

        assert server.ask("PING")


@pytest.mark.faults
def test_sentinels_put_the_replica_in_the_place_of_a_killed_master(tmp_path: Path) -> None:
    with RedisSentinels(tmp_path) as group:
        old = group.master()
        old.kill()

        new = group.wait_for_another_master(old)

        assert new.port != old.port
        assert new.ask("SET", "key", "value")


def test_a_server_that_cannot_start_says_what_it_wrote(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, lines=["no-such-setting yes"])

    with pytest.raises(ServerFailed) as caught:
        server.start()

    assert "no-such-setting" in str(caught.value)


def test_a_server_that_was_never_started_may_be_stopped_and_killed(tmp_path: Path) -> None:
    server: Server = RedisServer(tmp_path)

    server.stop()
    server.kill()
