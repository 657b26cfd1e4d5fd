"""However many bodies wait, a runner keeps only so many of them, and all of them end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.io import run
from tests.runners import waiting_app as tasks

WAIT_S = 120.0
PARENTS, SLOTS, MAX_PARKED, LEVELS = 40, 4, 6, 2
RUNNERS: dict[str, dict[str, object]] = {
    "ThreadRunner": {"max_threads": SLOTS},
    "ProcessRunner": {"num_processes": SLOTS},
    "AsyncRunner": {"concurrency": SLOTS},
    "HybridRunner of threads": {"num_processes": 2, "concurrency": SLOTS // 2, "worker_mode": "threads"},
    "HybridRunner of coroutines": {"num_processes": 2, "concurrency": SLOTS // 2, "worker_mode": "asyncio"},
}
ASYNC = ("AsyncRunner", "HybridRunner of coroutines")
MOST_WAITING = MAX_PARKED + SLOTS * (1 + LEVELS)
_BESIDE = SLOTS + 6
"""Threads that rest or serve, and those of the test."""


@pytest.fixture(params=list(RUNNERS))
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pynenc]:
    """Return the app with a runner of four slots, not begun, on a fresh SQLite store."""
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'waiting.db'}"
    app.conf.runner_cls = request.param.split(" ")[0]
    app.conf.max_parked = MAX_PARKED
    settings = {"num_processes": 0, "concurrency": 0, "max_threads": 0, **RUNNERS[request.param]}
    for name, value in settings.items():
        setattr(app.conf, name, value)
    yield app
    app.release_backend()


@pytest.fixture
def is_async(request: pytest.FixtureRequest) -> bool:
    """Whether the runner is meant for coroutines."""
    return request.node.callspec.params["app"] in ASYNC


def test_parents_whose_children_come_later_never_wait_all_at_once(app: Pynenc, is_async: bool) -> None:
    parent = tasks.async_parent if is_async else tasks.parent
    group = parent.parallelize([(LEVELS,)] * PARENTS)

    with app.running(drain_timeout=10):
        crowds = [invocation.get(timeout=WAIT_S) for invocation in group]

    assert max(crowds) <= MOST_WAITING + _BESIDE
    assert run(app.control.verify()) == []


def test_what_parents_wait_for_may_be_anybodys(app: Pynenc, is_async: bool, tmp_path: Path) -> None:
    leaf, waits_for = (tasks.async_leaf, tasks.async_waits_for) if is_async else (tasks.leaf, tasks.waits_for)
    ids = tmp_path / "ids"
    group = waits_for.parallelize([(str(ids), line) for line in range(PARENTS)])
    # In the queue they come behind everybody who waits for them.
    leaves = leaf.options(delay=4 * tasks.DELAY_S).parallelize([()] * PARENTS)
    ids.write_text("\n".join(each.invocation_id for each in leaves))

    with app.running(drain_timeout=10):
        crowds = [invocation.get(timeout=WAIT_S) for invocation in group]

    assert max(crowds) <= MOST_WAITING + _BESIDE
    assert run(app.control.verify()) == []
