"""Private Redis servers: one, a master with a replica under three sentinels, a cluster of three masters."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.private_servers.process import SETTINGS, ServerGroup, ServerProcess, do_without, wait_until

AppendFsync = Literal["everysec", "always"]

SLOTS = 16384


class RedisServer(ServerProcess):
    """One server, also the part that Redis Cluster is made of."""

    def __init__(
        self,
        folder: Path,
        appendfsync: AppendFsync | None = "everysec",
        port: int = 0,
        lines: Sequence[str] = (),
        program: str = "",
    ) -> None:
        """Prepare a server; nothing runs yet.

        Args:
            folder: for its data and log.
            appendfsync: when its append-only file is synced; None for a server that keeps nothing.
            port: 0 for a free one.
            lines: to add to its configuration.
            program: path of the server; "" for the one that is installed.
        """
        super().__init__(folder, port)
        self._program = program
        persistence = ["appendonly no"] if appendfsync is None else ["appendonly yes", f"appendfsync {appendfsync}"]
        common = (SETTINGS / "redis.conf").read_text(encoding="utf-8")
        self._configuration = self.folder / "redis.conf"
        self._configuration.write_text(common + "\n".join([*self._place(), *persistence, *lines, ""]), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def ask(self, *command: str | int) -> Any:
        """Return the reply to a command, sent on a connection of its own. Raises redis.RedisError."""
        once = Retry(NoBackoff(), 0)
        with redis.Redis(port=self.port, socket_timeout=5, retry=once, decode_responses=True) as client:
            return client.execute_command(*command)

    def role(self) -> str:
        """Return what it takes itself for: `master` or `slave`."""
        return str(self.ask("ROLE")[0])

    def _place(self) -> list[str]:
        return [f"port {self.port}", f'dir "{self.folder}"']

    def _command(self) -> Sequence[str]:
        return [self._program or _program(), str(self._configuration)]

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:  # also while it loads its data
            return False


class _Sentinel(RedisServer):
    """A sentinel that watches a master under the name `main`; two must agree that it is gone."""

    def __init__(self, folder: Path, master: RedisServer, down_after_ms: int) -> None:
        ServerProcess.__init__(self, folder)
        self._program = ""
        self._configuration = folder / "sentinel.conf"
        lines = [
            *self._place(),
            "bind 127.0.0.1",
            f"sentinel monitor main 127.0.0.1 {master.port} 2",
            f"sentinel down-after-milliseconds main {down_after_ms}",
            "sentinel failover-timeout main 5000",
            "sentinel parallel-syncs main 1",
        ]
        self._configuration.write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _command(self) -> Sequence[str]:
        return [*super()._command(), "--sentinel"]

    def can_fail_over(self) -> bool:
        """Whether it knows the replica and enough other sentinels."""
        try:
            return "OK" in self.ask("SENTINEL", "CKQUORUM", "main") and bool(self.ask("SENTINEL", "REPLICAS", "main"))
        except redis.RedisError:
            return False

    def master_port(self) -> int:
        """Return the port of the server that it takes for the master."""
        address: list[str] = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return int(address[1])


class RedisSentinels(ServerGroup):
    """A master called `main`, its replica and three sentinels, which put the replica in its place when it is gone."""

    def __init__(self, folder: Path, down_after_ms: int = 1000, appendfsync: AppendFsync = "everysec") -> None:
        """Prepare the five servers; nothing runs yet.

        Args:
            folder: for their data and logs.
            down_after_ms: how long the master may be silent.
            appendfsync: when the append-only files of master and replica are synced.
        """
        first = RedisServer(folder / "first", appendfsync)
        second = RedisServer(folder / "second", appendfsync, lines=[f"replicaof 127.0.0.1 {first.port}"])
        self.data_servers = (first, second)
        self.sentinels = tuple(_Sentinel(folder / f"sentinel-{n}", first, down_after_ms) for n in (1, 2, 3))
        self.servers = (*self.data_servers, *self.sentinels)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(sentinel.address for sentinel in self.sentinels)}/main"

    def start(self) -> None:
        for server in self.data_servers:
            if not server.is_running:
                server.start()
        # A sentinel asks the master for its replicas at once, and then only every ten seconds.
        wait_until(lambda: any(replicates(server) for server in self.data_servers))
        super().start()
        for sentinel in self.sentinels:
            wait_until(sentinel.can_fail_over)

    def master(self) -> RedisServer:
        """Return the server that the first running sentinel takes for the master."""
        port = next(sentinel for sentinel in self.sentinels if sentinel.is_running).master_port()
        return next(server for server in self.data_servers if server.port == port)

    def replica(self) -> RedisServer:
        """Return the other one."""
        master = self.master()
        return next(server for server in self.data_servers if server is not master)

    def wait_until_linked(self, replica: RedisServer) -> None:
        """Wait until a replica follows its master. Raises TimeoutError."""
        wait_until(lambda: replicates(replica))

    def fail_over(self) -> RedisServer:
        """Kill the master, wait until the replica has its place, and bring the old one back as replica of the new one.

        Returns:
            The new master.
        """
        old = self.master()
        old.kill()
        new = self.wait_for_another_master(old)
        self.rejoin(old)
        return new

    def rejoin(self, server: RedisServer) -> None:
        """Start a server that was killed as replica of the master, and wait until it has all data."""
        server.start()
        # Sentinels do so too, but only after they have looked at it for eight seconds.
        server.ask("REPLICAOF", "127.0.0.1", self.master().port)
        wait_until(lambda: replicates(server))
        for sentinel in self.sentinels:
            wait_until(sentinel.can_fail_over)

    def wait_for_another_master(self, old: RedisServer) -> RedisServer:
        """Return the master once all running sentinels agree that it is not `old`. Raises TimeoutError."""
        running = [sentinel for sentinel in self.sentinels if sentinel.is_running]
        wait_until(lambda: all(sentinel.master_port() != old.port for sentinel in running))
        new = self.master()
        wait_until(lambda: new.role() == "master")
        return new


class RedisCluster(ServerGroup):
    """Three masters that share the slots, without replicas."""

    def __init__(self, folder: Path, appendfsync: AppendFsync | None = "everysec") -> None:
        """Prepare the three servers; nothing runs yet."""
        lines = ["cluster-enabled yes", "cluster-node-timeout 2000"]
        self.servers: tuple[RedisServer, ...] = tuple(
            RedisServer(folder / f"node-{n}", appendfsync, lines=lines) for n in (1, 2, 3)
        )
        self._is_formed = False

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(server.address for server in self.servers)}"

    def start(self) -> None:
        super().start()
        if not self._is_formed:
            self._form()
        for server in self.servers:
            wait_until(partial(self._serves_all_slots, server))

    def _form(self) -> None:
        first = self.servers[0]
        for n, server in enumerate(self.servers):
            slots = range(n * SLOTS // 3, (n + 1) * SLOTS // 3)
            server.ask("CLUSTER", "ADDSLOTS", *slots)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            server.ask("CLUSTER", "MEET", "127.0.0.1", first.port)
        self._is_formed = True

    def is_whole(self) -> bool:
        """Whether every server takes every slot to be served."""
        return all(self._serves_all_slots(server) for server in self.servers)

    def _serves_all_slots(self, server: RedisServer) -> bool:
        info: dict[str, str] = server.ask("CLUSTER INFO")
        return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"


def slot_owner(cluster: RedisCluster, key: str) -> RedisServer:
    """Return the server of a cluster that has the slot of a key."""
    slot: int = cluster.servers[0].ask("CLUSTER KEYSLOT", key)
    number = next(n for n in (0, 1, 2) if slot < (n + 1) * SLOTS // 3)
    return cluster.servers[number]


def replicates(server: RedisServer) -> bool:
    """Whether it is a replica that has reached its master."""
    info: dict[str, Any] = server.ask("INFO", "replication")
    return info.get("master_link_status") == "up"


def _program() -> str:
    path = shutil.which("redis-server") or shutil.which("valkey-server")
    return path or do_without("no redis-server: run `scripts/services start redis`, or install it")
