"""Limits under real runners: threads, and processes of two runners on one store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from pynenc import Pynenc
from pynenc.composition import open_backend
from tests import stores
from tests.limits import limited_app

pytestmark = pytest.mark.timeout(180)

CALLS = 60
BLOCKING = (limited_app.limited, limited_app.limited_too)
TASKS = {"threads": BLOCKING, "processes": BLOCKING, "coroutines": (limited_app.limited_async,) * 2}


class Place(NamedTuple):
    """The app of `limited_app` on a fresh store, and how other processes get there."""

    app: Pynenc
    url: str
    app_id: str


@pytest.fixture(params=stores.ALL)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with stores.fresh_url(request.param, tmp_path) as (url, app_id):
        backend = open_backend(url, app_id=app_id)
        app = limited_app.app
        app.use_backend(backend)
        try:
            yield Place(app, url, app_id)
        finally:
            app.release_backend()


@contextmanager
def runners(place: Place, kind: str) -> Iterator[None]:
    """Have runners beside the test: threads or coroutines here, or two runners with two processes each."""
    if kind != "processes":
        place.app.conf.runner_cls = "ThreadRunner" if kind == "threads" else "AsyncRunner"
        with place.app.running(drain_timeout=30):
            yield
        return
    if not place.app.backend.capabilities.across_processes:
        pytest.skip("this store lives in one process")
    command = [sys.executable, "-m", "pynenc", "--app", limited_app.__name__, "runner", "start", "--processes", "2"]
    environment = {**os.environ, "LIMITED_APP_URL": place.url, "LIMITED_APP_ID": place.app_id}
    with ExitStack() as stack:
        for process in [subprocess.Popen(command, env=environment) for _ in range(2)]:
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
        yield


@pytest.mark.parametrize("kind", ["threads", "coroutines", "processes"])
def test_never_more_than_the_limit_are_inside_at_once(place: Place, tmp_path: Path, kind: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    with runners(place, kind):
        calls = [task(str(folder), n) for n in range(CALLS // 4) for folder in (first, second) for task in TASKS[kind]]
        inside = [each.get(timeout=120) for each in calls]

    assert len(inside) == CALLS
    assert max(inside) <= 2


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_an_order_is_kept_through_retries(place: Place, tmp_path: Path, kind: str) -> None:
    with runners(place, kind):
        calls = [limited_app.ordered(str(tmp_path), name, n) for n in range(12) for name in ("a", "b")]
        for each in calls:
            each.get(timeout=120)

    wanted = [n for n in range(12) for _ in range(2 if n % 5 == 0 else 1)]
    for name in ("a", "b"):
        assert [int(line) for line in (tmp_path / name).read_text().split()] == wanted
