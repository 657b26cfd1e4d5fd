"""Kills with SIGKILL at random moments: nothing is lost, every invocation has one outcome, nothing is left over."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.invocation import BaseInvocation, InvocationStatus
from pynenc.io import run
from tests.faults import fault_app
from tests.faults.processes import RunnerProcess, wait_until_gone

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find worker processes"),
]

KILLS = int(os.environ.get("PYNENC_TEST_KILLS", "200"))
ROOTS = 150
SEED = 20_261


def test_two_hundred_kills_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'faults.db'}"
    environment = {
        "PYNENC_URL": url,
        "PYNENC__LEASE_SECONDS": "1",
        "PYNENC__MAX_CRASHES": "1000",
        "FAULT_LOG": str(tmp_path / "executions.log"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    rng = random.Random(SEED)
    fleet = Fleet(environment, tmp_path / "runners.log", rng)
    app = Pynenc(url, app_id="faults")
    parent = app.task(fault_app.parent.func)
    invocations: list[BaseInvocation[[int, float], int]] = []

    while fleet.kills < KILLS:
        if sum(not each.status.is_final() for each in invocations[-ROOTS:]) < ROOTS // 2:
            batch = parent.parallelize([(len(invocations) + i, 0.01 * rng.random()) for i in range(ROOTS)])
            invocations += list(batch)
        # How long to let them work before the next kill is the randomness of this test, not a wait for anything.
        time.sleep(rng.uniform(0.0, 0.25))
        fleet.kill_one()

    results = [each.get(timeout=180) for each in invocations]
    exit_codes, survivors = fleet.stop()
    executions = read_log(tmp_path / "executions.log")
    expected = [sum(number * 10 + i for i in range(3)) for number in range(len(invocations))]
    assert results == expected
    assert app.orchestrator.count_invocations() == 4 * len(invocations)
    assert app.orchestrator.count_invocations(statuses=[InvocationStatus.SUCCESS]) == 4 * len(invocations)
    assert run(app.control.verify()) == []
    assert all(executions["end", each.invocation_id] >= 1 for each in invocations)
    assert all(
        executions["start", child] >= 1 for child in app.orchestrator.get_task_invocation_ids(fault_app.leaf.task_id)
    )
    assert exit_codes == [0] * len(exit_codes)
    assert survivors == []
    app.close()
    assert wake_files(tmp_path) == []
    print(f"{fleet.kills} kills ({fleet.runner_kills} of whole runners), {4 * len(invocations)} invocations")


class Fleet:
    """Two runners of two workers each that are killed and replaced."""

    def __init__(self, environment: dict[str, str], log: Path, rng: random.Random) -> None:
        self._environment = environment
        self._log = log
        self._rng = rng
        self._seen: set[int] = set()
        self._runners = [self._start(), self._start()]
        self.kills = 0
        self.runner_kills = 0

    def _start(self) -> RunnerProcess:
        return RunnerProcess(
            "tests.faults.fault_app",
            *("--runner", "process", "--processes", "2"),
            environment=self._environment,
            log=self._log,
        )

    def kill_one(self) -> None:
        """Kill a worker, or now and then a whole runner, which is replaced at once."""
        index = self._rng.randrange(len(self._runners))
        workers = self._runners[index].workers
        self._seen.update(workers)
        if self._rng.random() < 0.2:
            self._seen.update(self._runners[index].kill())
            self._runners[index] = self._start()
            self.runner_kills += 1
        elif workers:
            os.kill(self._rng.choice(workers), signal.SIGKILL)
        else:
            return
        self.kills += 1

    def stop(self) -> tuple[list[int], list[int]]:
        """Stop the runners in good order; return their exit codes and which worker processes are left."""
        for runner in self._runners:
            self._seen.update(runner.workers)
        codes = [runner.stop() for runner in self._runners]
        return codes, wait_until_gone(list(self._seen))


def read_log(path: Path) -> Counter[tuple[str, str]]:
    """Count (event, invocation) in the log the bodies wrote."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return Counter((line[0], line[1]) for line in lines)


def wake_files(folder: Path) -> list[Path]:
    """Return sockets that nobody removed."""
    return [path for path in folder.rglob("*") if path.is_socket()]
