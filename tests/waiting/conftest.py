"""Scenes over every store, and over servers behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pynenc.composition import open_backend
from tests import servers, stores
from tests.faults.proxy import FaultyProxy
from tests.waiting.scene import Scene


@pytest.fixture(params=stores.ALL)
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def scene(store: str, tmp_path: Path) -> Iterator[Scene]:
    with stores.fresh_store(store, tmp_path) as backend:
        made = Scene(backend, backend)
        yield made
        made.close()


@pytest.fixture(params=["redis", "postgresql"])
def served(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def proxy(served: str) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", urlsplit(servers.url_of(served)).port or 0) as running:
        yield running


@pytest.fixture
def options() -> str:
    """Of the URL of those who wait behind a proxy."""
    return "call_timeout_s=10"


@pytest.fixture
def behind(served: str, options: str, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Scene]:
    """Those who wait reach the server through `proxy`."""
    with stores.fresh_url(served, tmp_path) as (url, app_id):
        parts = urlsplit(url)
        through = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl()
        direct = open_backend(url, app_id=app_id)
        made = Scene(direct, open_backend(f"{through}?{options}", app_id=app_id), app_id)
        yield made
        made.close()
        direct.close()
