"""A parent whose run was lost finds the children of its first run, in whatever order it comes to them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.io import run
from tests import stores
from tests.faults import reborn_app
from tests.faults.processes import RunnerProcess, wait_until_gone

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find worker processes"),
]

WAIT_S = 90.0


@pytest.mark.parametrize("victim", ["worker", "runner"])
@pytest.mark.parametrize("store", ["sqlite", "redis", "postgresql"])
def test_a_parent_that_runs_again_starts_no_child_twice(store: str, victim: str, tmp_path: Path) -> None:
    with stores.fresh_url(store, tmp_path) as (url, app_id):
        environment = {"PYNENC_URL": url, "PYNENC__LEASE_SECONDS": "1", "REBORN_APP_ID": app_id}
        runner = _start(environment, tmp_path)
        app = Pynenc(url, app_id=app_id)
        invocation = app.task(reborn_app.parent.func)(str(tmp_path))
        first = _report(tmp_path / "run-0")

        left = runner.workers
        if victim == "worker":
            os.kill(first["pid"], signal.SIGKILL)
        else:
            left += runner.kill()
            runner = _start(environment, tmp_path)
        (tmp_path / "go").touch()
        second = _report(tmp_path / "run-1")
        result = invocation.get(timeout=WAIT_S)

        started = set(app.orchestrator.get_task_invocation_ids(reborn_app.leaf.task_id))
        left += runner.workers
        assert runner.stop() == 0
        assert wait_until_gone(left) == []
        assert run(app.control.verify()) == []
        app.close()
    assert result == sum(range(reborn_app.CHILDREN))
    assert {number: second["children"][number] for number in first["children"]} == first["children"]
    assert started == set(second["children"].values())


def _start(environment: dict[str, str], folder: Path) -> RunnerProcess:
    options = ("--runner", "process", "--processes", "2")
    return RunnerProcess("tests.faults.reborn_app", *options, environment=environment, log=folder / "runner.log")


def _report(path: Path) -> dict[str, Any]:
    """Wait for what a run of the parent noted of itself."""
    deadline_s = time.monotonic() + WAIT_S
    while not path.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    report: dict[str, Any] = json.loads(path.read_text())
    return report
