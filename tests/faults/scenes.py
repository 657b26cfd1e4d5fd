"""Where storms rage: how runners and the judge reach a store, and what may happen to it meanwhile.

A scene owns its servers. It offers faults by name, each with its weight among all; a fault either is over when it
returns, or ends by itself some time later, which `calm` waits for.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tests.faults.proxy import Cut, FaultyProxy
from tests.private_servers.postgresql import PgBouncer, PostgresServer
from tests.private_servers.process import Server, wait_until
from tests.private_servers.redis import AppendFsync, RedisCluster, RedisSentinels, RedisServer, slot_owner

_SCENE = TypeVar("_SCENE", bound="Scene")

LEASE_S = 1.0


class Fault(NamedTuple):
    """Something that may happen."""

    weight: int
    commit: Callable[[], None]


class Later:
    """What is to happen in a while."""

    def __init__(self) -> None:
        self._timers: list[threading.Timer] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.start()
        self._timers.append(timer)

    def wait(self) -> None:
        """Return when all of it has happened."""
        for timer in self._timers:
            timer.join()
        self._timers.clear()


class Scene(ABC):
    """One store on servers of its own. As a context manager it is there, and gone afterwards."""

    def __init__(self, durability: str, rng: random.Random) -> None:
        self.durability = durability
        self._rng = rng
        self._later = Later()

    @property
    @abstractmethod
    def url(self) -> str:
        """Where client and judge reach the store, undisturbed."""

    @property
    def runner_url(self) -> str:
        """Where runners reach it."""
        return self.url

    @abstractmethod
    def faults(self) -> Mapping[str, Fault]:
        """What may happen to the store and the way to it."""

    def calm(self) -> None:
        """End every fault."""
        self._later.wait()

    def left_over(self) -> list[Path]:
        """Return what should be gone once nobody uses the store any more."""
        return []

    @abstractmethod
    def __enter__(self: _SCENE) -> _SCENE: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class EmbeddedScene(Scene):
    """A SQLite file: what can happen to it is that somebody else holds its lock."""

    def __init__(self, folder: Path, durability: str, rng: random.Random) -> None:
        super().__init__(durability, rng)
        self._path = folder / "storm.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self._path}?durability={self.durability}"

    def faults(self) -> Mapping[str, Fault]:
        return {"file locked": Fault(6, self._lock)}

    def _lock(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(self._rng.uniform(0.0, LEASE_S))
        connection.execute("ROLLBACK")
        connection.close()

    def left_over(self) -> list[Path]:
        """Return sockets of doorbells that nobody removed."""
        return [path for path in self._path.parent.rglob("*") if path.is_socket()]

    def __enter__(self) -> EmbeddedScene:
        return self

    def __exit__(self, kind: object, error: object, at: object) -> None:
        self.calm()


class _ServerScene(Scene):
    """One server, or several that are one service, that may be killed and stopped."""

    _server: Server

    def __init__(self, durability: str, rng: random.Random, *, kills: bool = True) -> None:
        super().__init__(durability, rng)
        self._kills = kills

    def faults(self) -> Mapping[str, Fault]:
        found = {"server stopped": Fault(3, self._stop)}
        if self._kills:
            found["server killed"] = Fault(4, self._kill)
        return found

    def _kill(self) -> None:
        self._server.kill()
        time.sleep(self._rng.uniform(0.0, 0.3))
        self._server.restart()

    def _stop(self) -> None:
        self._server.pause()
        time.sleep(self._rng.uniform(0.0, LEASE_S))
        self._server.resume()

    def __enter__(self: _SCENE) -> _SCENE:
        self._server.start()  # type: ignore[attr-defined]  # of this class
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.__exit__(kind, error, at)


class ProxiedScene(_ServerScene):
    """One server behind a network that cuts, delays and goes silent.

    Args:
        server: what is behind.
        durability: what the URL declares.
        options: more options of the URL.
        kills: whether the level promises to survive the death of the server.
    """

    def __init__(
        self, server: Server, durability: str, rng: random.Random, *, options: str = "", kills: bool = True
    ) -> None:
        super().__init__(durability, rng, kills=kills)
        place = urlsplit(server.url)
        assert place.hostname is not None
        assert place.port is not None
        self.server = self._server = server
        self._options = f"durability={durability}{options}"
        self.proxy = FaultyProxy(place.hostname, place.port)

    @property
    def url(self) -> str:
        return f"{self._server.url}?{self._options}"

    @property
    def runner_url(self) -> str:
        place = urlsplit(self.url)
        user = place.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self.proxy.port}" if user else f"127.0.0.1:{self.proxy.port}"
        return urlunsplit(place._replace(netloc=netloc))

    def faults(self) -> Mapping[str, Fault]:
        return {
            **super().faults(),
            "reply cut before it": Fault(25, lambda: self.proxy.cut_next_reply(Cut.BEFORE_REPLY)),
            "reply cut in the middle": Fault(15, lambda: self.proxy.cut_next_reply(Cut.MID_REPLY)),
            "connections reset": Fault(8, self.proxy.break_all),
            "connections left silent": Fault(4, self.proxy.abandon_all),
            "network slow": Fault(6, self._slow),
            "network half-open": Fault(4, self._half_open),
        }

    def _slow(self) -> None:
        self.proxy.delay(0.05)
        self._later.after(0.5, lambda: self.proxy.delay(0.0))

    def _half_open(self) -> None:
        self.proxy.hold()
        self._later.after(1.5 * LEASE_S, self.proxy.heal)

    def wait(self, seconds: float) -> None:
        """Let what is wrong stay so: the length of a fault, not a wait for anything."""
        time.sleep(seconds)

    def calm(self) -> None:
        super().calm()
        self.proxy.heal()

    def __enter__(self) -> ProxiedScene:
        super().__enter__()
        self.proxy.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.proxy.__exit__()
        super().__exit__(kind, error, at)


class SentinelScene(_ServerScene):
    """A master and its replica, which takes over when the master is killed; nothing is between them and runners."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        super().__init__("replicated", rng)
        self._server: RedisSentinels = RedisSentinels(folder)

    @property
    def url(self) -> str:
        return f"{self._server.url}?durability=replicated&call_timeout_s=30"

    def faults(self) -> Mapping[str, Fault]:
        return {
            "failover": Fault(8, self._fail_over),
            "replica killed": Fault(4, self._kill_replica),
            "server stopped": Fault(3, self._stop),
        }

    def _fail_over(self) -> None:
        self._server.fail_over()

    def _kill_replica(self) -> None:
        replica = self._server.replica()
        replica.kill()
        time.sleep(self._rng.uniform(0.0, 0.3))
        self._server.rejoin(replica)

    def _stop(self) -> None:
        master = self._server.master()
        master.pause()
        time.sleep(self._rng.uniform(0.0, 0.5))
        master.resume()


class ClusterScene(_ServerScene):
    """Three masters; what happens, happens to the one that has the app."""

    def __init__(self, folder: Path, appendfsync: AppendFsync, durability: str, rng: random.Random) -> None:
        super().__init__(durability, rng)
        self._cluster = RedisCluster(folder, appendfsync)
        self._server = self._cluster

    @property
    def url(self) -> str:
        return f"{self._cluster.url}?durability={self.durability}"

    def _owner(self) -> RedisServer:
        return slot_owner(self._cluster, "{storm}:")

    def _kill(self) -> None:
        owner = self._owner()
        owner.kill()
        time.sleep(self._rng.uniform(0.0, 0.3))
        owner.restart()
        wait_until(self._cluster.is_whole)

    def _stop(self) -> None:
        owner = self._owner()
        owner.pause()
        time.sleep(self._rng.uniform(0.0, LEASE_S))
        owner.resume()


class PooledScene(ProxiedScene):
    """A database behind pgbouncer in transaction mode; either may die."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._database = PostgresServer(folder / "database")
        self._pooler = PgBouncer(folder / "pooler", self._database)
        super().__init__(self._pooler, "full", rng, options="&pgbouncer=transaction&call_timeout_s=10")

    def faults(self) -> Mapping[str, Fault]:
        return {
            **super().faults(),
            "server killed": Fault(4, self._kill_database),
            "pooler killed": Fault(4, self._kill),
        }

    def _kill_database(self) -> None:
        self._database.kill()
        time.sleep(self._rng.uniform(0.0, 0.3))
        self._database.restart()

    def __enter__(self) -> PooledScene:
        self._database.start()
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        self._database.__exit__(kind, error, at)
