"""Real servers for tests: addresses of the shared ones, and private ones that a test may kill.

The shared ones come from `scripts/services start`, which `make test` runs first. A private one is a process of the test
itself:

    with RedisServer(tmp_path, appendfsync="always") as server:
        ...
        server.kill()
        server.restart()
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from tests.private_servers.postgresql import PostgresServer
from tests.private_servers.process import ServerFailed, do_without
from tests.private_servers.redis import RedisCluster, RedisSentinels, RedisServer

__all__ = ["PostgresServer", "RedisCluster", "RedisSentinels", "RedisServer", "ServerFailed", "url_of"]

ROOT = Path(__file__).resolve().parents[1]


def url_of(name: str) -> str:
    """Return the address of a shared server: of the environment, else what `scripts/services start` recorded.

    Skips the test when there is none, or fails it where CI=true.

    Args:
        name: as in `scripts/services`, such as "redis-cluster"; "redis-unix" and "postgresql-unix" are the
            addresses of their Unix-domain sockets.
    """
    variable = f"PYNENC_TEST_{name.upper().replace('-', '_')}"
    if url := os.environ.get(variable):
        return url
    url = _recorded().get(variable)
    if url is None:
        do_without(f"no {name}: run `scripts/services start`, or set {variable}")
    if not _listens(url):
        do_without(f"{name} no longer answers: run `scripts/services start`")
    return url


def _recorded() -> dict[str, str]:
    folder = Path(os.environ.get("PYNENC_SERVICES") or ROOT / ".services")
    try:
        lines = (folder / "env").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines)


def _listens(url: str) -> bool:
    """Whether the first port of a recorded address takes connections; a Unix-domain socket need only be there."""
    if url.startswith("redis+unix://"):
        return Path(url.removeprefix("redis+unix://")).exists()
    port = re.search(r":(\d+)(?:[,/]|$)", url)
    assert port is not None, "every recorded address has a port"
    try:
        socket.create_connection(("127.0.0.1", int(port[1])), timeout=5).close()
    except OSError:
        return False
    return True
