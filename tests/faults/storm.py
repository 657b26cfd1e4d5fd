"""A fleet that works while everything around it fails: workers, runners, the network and the server.

Runners reach the store through the scene's `runner_url`; the judge reaches it undisturbed. Bodies write an execution
log outside the store, and the history checker judges that together with what the store says in the end.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pynenc import Pynenc
from pynenc.errors import StoreError
from pynenc.invocation import BaseInvocation
from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.ports.backend import Backend
from pynenc.testing.simulation.checker import check
from pynenc.testing.simulation.history import Evidence, Finding, History
from tests.faults import storm_app
from tests.faults.execution_log import kill_and_log
from tests.faults.judgement import everything, read_executions, unexecuted
from tests.faults.processes import RunnerProcess, wait_until_gone
from tests.faults.scenes import LEASE_S, Fault, Later, Scene

T = TypeVar("T")

ROOTS_AT_ONCE = 60
_SETTLING_S = 180


class Storm:
    """One run: submits trees of tasks, commits faults, and judges what is left.

    Args:
        scene: the store, and what may happen to it.
        folder: for logs.
        rng: decides which faults come when.
    """

    def __init__(self, scene: Scene, folder: Path, rng: random.Random) -> None:
        self._scene = scene
        self._rng = rng
        self._log = folder / "executions.log"
        self._runner_log = folder / "runners.log"
        self._seen: set[int] = set()
        self._runners: list[RunnerProcess] = []
        self._later = Later()
        self.faults: Counter[str] = Counter()
        self.invocations = 0
        self.trees = 0
        self.server = ""
        """What the store says it is, with its version."""

    # --- the run ---

    def rage(self, faults: int) -> list[Finding]:
        """Commit so many faults while work goes on, let everything come to rest, and return what is wrong."""
        with self._scene:
            self._runners = [self._start(), self._start()]
            app = Pynenc(self._scene.url, app_id="storm", config_values={"max_crashes": 1_000})
            try:
                roots = self._work_through(app, faults)
                self._calm()
                settled = self._await_all(roots)
                return self._judge(app, roots, settled=settled)
            finally:
                self._calm()
                self.exit_codes = [each.stop() for each in self._runners]
                self.survivors = wait_until_gone(list(self._seen))
                app.close()

    def _environment(self) -> dict[str, str]:
        return {
            "PYNENC_URL": self._scene.runner_url,
            "PYNENC__LEASE_SECONDS": str(LEASE_S),
            "PYNENC__MAX_CRASHES": "1000",
            "FAULT_LOG": str(self._log),
        }

    def _start(self) -> RunnerProcess:
        options = ("--runner", "process", "--processes", "2")
        return RunnerProcess("tests.faults.storm_app", *options, environment=self._environment(), log=self._runner_log)

    def _work_through(self, app: Pynenc, faults: int) -> list[BaseInvocation[[int, float], int]]:
        parent = app.task(storm_app.parent.func)
        roots: list[BaseInvocation[[int, float], int]] = []
        while sum(self.faults.values()) < faults:
            if self._unfinished(roots) < ROOTS_AT_ONCE // 2:
                batch = [(len(roots) + i, 0.01 * self._rng.random()) for i in range(ROOTS_AT_ONCE)]
                roots += _insist(lambda batch=batch: list(parent.parallelize(batch)))  # type: ignore[misc]
            # How long they work before the next fault is the randomness of this test, not a wait for anything.
            time.sleep(self._rng.uniform(0.0, 0.3))
            self._commit_fault()
        return roots

    def _unfinished(self, roots: list[BaseInvocation[[int, float], int]]) -> int:
        recent = roots[-ROOTS_AT_ONCE:]
        return _insist(lambda: sum(not each.status.is_final() for each in recent))

    # --- faults ---

    def _commit_fault(self) -> None:
        faults = {
            "worker killed": Fault(30, self._kill_worker),
            "runner killed": Fault(8, self._kill_runner),
            "runner stopped for two leases": Fault(6, self._stop_runner),
            **self._scene.faults(),
        }
        name = self._rng.choices(list(faults), [fault.weight for fault in faults.values()])[0]
        faults[name].commit()
        self.faults[name] += 1

    def _kill_worker(self) -> None:
        workers = self._rng.choice(self._runners).workers
        self._seen.update(workers)
        if workers:
            kill_and_log(self._log, self._rng.choice(workers))

    def _kill_runner(self) -> None:
        index = self._rng.randrange(len(self._runners))
        self._seen.update(self._runners[index].workers)
        self._seen.update(self._runners[index].kill())
        self._runners[index] = self._start()

    def _stop_runner(self) -> None:
        pid = self._rng.choice(self._runners).pid
        _signal(pid, signal.SIGSTOP)
        self._later.after(2 * LEASE_S, lambda: _signal(pid, signal.SIGCONT))

    def _calm(self) -> None:
        self._later.wait()
        self._scene.calm()
        for runner in self._runners:
            _signal(runner.pid, signal.SIGCONT)
            self._seen.update(runner.workers)

    # --- the judgement ---

    def _await_all(self, roots: list[BaseInvocation[[int, float], int]]) -> bool:
        until = time.monotonic() + _SETTLING_S
        for number, root in enumerate(roots):
            try:
                value = _insist(lambda root=root: root.get(timeout=max(0.1, until - time.monotonic())))  # type: ignore[misc]
                assert value == storm_app.expected(number)
            except TimeoutError:
                return False
        return True

    def _judge(self, app: Pynenc, roots: list[BaseInvocation[[int, float], int]], *, settled: bool) -> list[Finding]:
        backend = app.backend
        history = History(complete=False)
        payloads = app.task(storm_app.parent.func).payloads
        history.executions = read_executions(self._log, lambda value: run(payloads.encode_value(value)))
        ids = [InvocationId(bytes.fromhex(root.invocation_id.replace("-", ""))) for root in roots]
        snapshots = everything(backend)
        self.invocations, self.trees = len(snapshots), len(roots)
        self.server = _version(backend)
        found = check(
            Evidence(
                history=history,
                snapshots=snapshots,
                dump=run(backend.dump()),
                violations=run(backend.orchestrator.verify()),
                findings=[],
                results=[outcome for outcome in run(backend.state_backend.outcomes(ids)) if outcome is not None],
                acknowledged=ids,
                settled=settled,
            )
        )
        # A submission whose reply was lost for good may have been repeated under other ids: a tree more, never a part.
        if len(snapshots) < 4 * len(roots) or len(snapshots) % 4:
            found.append(Finding("C2", None, f"{len(snapshots)} invocations for {len(roots)} trees of four"))
        return found + list(unexecuted(history, snapshots))


def _version(backend: Backend) -> str:
    findings = run(backend.diagnose())
    return next((each.detail for each in findings if each.subject in ("server", "version", "store")), "")


def _insist(action: Callable[[], T]) -> T:
    """Perform an action of the client again and again while the server is away, as a user would."""
    until = time.monotonic() + 60
    while True:
        try:
            return action()
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
