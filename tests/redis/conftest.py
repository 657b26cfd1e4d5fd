"""A private server that tests of this folder may fill, damage and lock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pynenc.composition import open_backend
from pynenc.ports.backend import Backend
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), appendfsync="everysec") as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        connected.flushall()
        yield connected


@pytest.fixture
def backend(server: RedisServer, client: redis.Redis, tmp_path: Path) -> Iterator[Backend]:
    opened = open_backend(f"{server.url}?call_timeout_s=2", app_id="app")
    yield opened
    opened.close()
