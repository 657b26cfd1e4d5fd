"""Every kind of runner on one slot, beside the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from tests.runners import runner_app

ONE_SLOT: dict[str, dict[str, object]] = {
    "ThreadRunner": {"max_threads": 1},
    "ProcessRunner": {"num_processes": 1},
    "AsyncRunner": {"concurrency": 1},
    "HybridRunner threads": {"num_processes": 1, "concurrency": 1, "worker_mode": "threads"},
    "HybridRunner asyncio": {"num_processes": 1, "concurrency": 1, "worker_mode": "asyncio"},
}


@pytest.fixture(params=list(ONE_SLOT))
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pynenc]:
    """Return the app with a runner of one slot on a fresh SQLite store."""
    app = runner_app.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'runners.db'}"
    app.conf.runner_cls = request.param.split()[0]
    for name, value in ONE_SLOT[request.param].items():
        setattr(app.conf, name, value)
    with app.running(drain_timeout=10):
        yield app
    app.release_backend()
