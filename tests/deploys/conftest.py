"""A place with a store, runners as processes, and an execution log that no store knows of."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.invocation import BaseInvocation, DistributedInvocation
from pynenc.io import run
from pynenc.model.ids import parse_id
from pynenc.model.records import Control, ListFilter, Outcome, Snapshot
from tests.deploys import deploy_app
from tests.faults.processes import RunnerProcess
from tests.stores import fresh_url

WITHIN_S = 60.0
"""How long anything that has to happen may take before a test gives up on it."""
_PAGE = 500


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait for something that another process does."""
    until = time.monotonic() + WITHIN_S
    while not happened():
        assert time.monotonic() < until, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.01)


class Deployment:
    """An app on a store, and its runners."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.app: Pynenc = deploy_app.app
        self._runners: list[RunnerProcess] = []

    @classmethod
    def at(cls, url: str, app_id: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
        """Return a deployment of `deploy_app` on the store at `url`."""
        environment = {"PYNENC_URL": url, "DEPLOY_APP_ID": app_id, "FAULT_LOG": str(folder / "executions.log")}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        # Its app reads the environment, here as in the processes of the runners.
        importlib.reload(deploy_app)
        return cls(folder, environment)

    def start(self, *options: str, app: str = "tests.deploys.deploy_app") -> RunnerProcess:
        """Start a runner that ends with the test, and wait until it has its session."""
        runner = self.start_without_waiting(*options, app=app)
        wait_until(lambda: runner.pid in self.pids(), "a session of the runner")
        return runner

    def start_without_waiting(self, *options: str, app: str = "tests.deploys.deploy_app") -> RunnerProcess:
        """Start a runner that ends with the test."""
        runner = RunnerProcess(app, *options, environment=self.environment, log=self.folder / "runners.log")
        self._runners.append(runner)
        return runner

    def pids(self) -> set[int]:
        """Process ids of the runners that have a session."""
        return {row.info.pid for row in run(self.app.control.list_sessions())}

    def snapshot(self, invocation: BaseInvocation[..., int]) -> Snapshot:
        """Return all that the store knows of an invocation."""
        (found,) = run(self.app.backend.state_backend.snapshots([parse_id(invocation.invocation_id)]))
        assert found is not None
        return found

    def snapshots(self) -> list[Snapshot]:
        """Return all that the store knows of every invocation."""
        found: list[Snapshot] = []
        while True:
            before = found[-1].call.invocation_id if found else None
            page = run(self.app.backend.state_backend.listing(ListFilter(before=before, limit=_PAGE)))
            found += page
            if len(page) < _PAGE:
                return found

    def controls(self) -> list[Control]:
        """Return what is known of those that have not ended."""
        return [each.control for each in self.snapshots() if each.control is not None]

    def outcomes(self) -> list[Outcome]:
        """Return how those ended that have."""
        return [each.outcome for each in self.snapshots() if each.outcome is not None]

    def log(self) -> str:
        """Return what the runners wrote."""
        return (self.folder / "runners.log").read_text()

    def executions(self, event: str) -> Counter[str]:
        """Count the executions of each invocation in the log that bodies wrote."""
        lines = [line.split() for line in (self.folder / "executions.log").read_text().splitlines()]
        return Counter(line[1] for line in lines if line[0] == event)

    def close(self) -> None:
        for runner in self._runners:
            runner.kill()
        self.app.close()


def key_of(invocation: BaseInvocation[..., int]) -> str:
    """Return how the execution log names an invocation."""
    assert isinstance(invocation, DistributedInvocation)
    return parse_id(invocation.invocation_id).hex()


@pytest.fixture
def store() -> str:
    """The store of a deployment; a test may parametrise it."""
    return "sqlite"


@pytest.fixture
def deployment(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    with fresh_url(store, tmp_path) as (url, app_id):
        found = Deployment.at(url, app_id, tmp_path, monkeypatch)
        yield found
        found.close()
