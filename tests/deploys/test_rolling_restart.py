"""A fleet is replaced runner by runner under load: every invocation succeeds, once; the deploy counts no attempt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

import pytest

from pynenc.invocation import BaseInvocation
from pynenc.io import run
from pynenc.model.ids import InvocationId, parse_id
from pynenc.model.records import Outcome, Snapshot
from pynenc.model.status import InvocationStatus, Reason
from pynenc.testing.simulation.checker import check
from pynenc.testing.simulation.history import Evidence, Finding, History
from tests.deploys import deploy_app
from tests.deploys.conftest import Deployment
from tests.deploys.kinds import STORES, TWO_SLOTS
from tests.faults.judgement import read_executions

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(400)]

GRACE_S = 0.5
LONG_S = 1.0
"""Longer than the grace period: such bodies are handed over."""
BATCHES_AT_ONCE = 3
HARMLESS = {Reason.RELEASED, Reason.RETRY, Reason.WAITED}
"""How a stretch of a life may end here: handed over, failed as the task wants it, or spent waiting."""


@pytest.mark.parametrize("store", STORES)
def test_a_rolling_restart_under_load_loses_fails_and_counts_nothing(deployment: Deployment, store: str) -> None:
    # Three kinds on each store, others on the next.
    kinds = islice(cycle(TWO_SLOTS), STORES.index(store), STORES.index(store) + 3)
    options = [(*TWO_SLOTS[kind], "--drain-timeout", str(GRACE_S)) for kind in kinds]
    fleet = [deployment.start(*each) for each in options]
    load = Load()

    with load:
        for index, each in enumerate(options):
            load.wait_for_more()
            code = fleet[index].stop()
            fleet[index] = deployment.start(*each)
            assert code == 0
        load.wait_for_more()
    load.wait_for_all()
    codes = [runner.stop() for runner in fleet]

    assert codes == [0, 0, 0]
    assert judge(deployment, load) == []


class Load:
    """Batches of short, long, waiting and retried tasks, submitted one after the other while used as a context."""

    def __init__(self) -> None:
        self.submitted: list[BaseInvocation[..., int]] = []
        self.expected: list[int] = []
        self._batches: list[list[BaseInvocation[..., int]]] = []
        self._ended = threading.Semaphore(0)
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        """Return once another batch has ended."""
        assert self._ended.acquire(timeout=120), f"no batch ends: {self._failure}"

    def wait_for_all(self) -> None:
        """Return once everything has ended."""
        assert self._failure is None
        for each in self.submitted:
            assert each.wait(120)

    def _run(self) -> None:
        try:
            for first in count(0, 10):
                if self._over.is_set():
                    return
                self._batches.append(list(self._submit(first)))
                self.submitted += self._batches[-1]
                if len(self._batches) >= BATCHES_AT_ONCE:
                    assert all(each.wait(120) for each in self._batches[-BATCHES_AT_ONCE])
                    self._ended.release()
        except BaseException as error:
            self._failure = error
            raise

    def _submit(self, first: int) -> Iterator[BaseInvocation[..., int]]:
        for number in range(first, first + 6):
            yield deploy_app.short(number)
        yield deploy_app.long(first + 6, LONG_S)
        yield deploy_app.flaky(first + 7)
        yield deploy_app.parent(first + 8, LONG_S)
        yield deploy_app.async_parent(first + 9, LONG_S)


def judge(deployment: Deployment, load: Load) -> list[Finding]:
    """Return what is wrong, by the history checker and by what the deploy must not have done."""
    backend = deployment.app.backend
    snapshots = deployment.snapshots()
    history = History(complete=False)
    payloads = deploy_app.short.payloads
    path = Path(deployment.environment["FAULT_LOG"])
    history.executions = read_executions(path, lambda value: run(payloads.encode_value(value)))
    ids = [InvocationId(parse_id(each.invocation_id)) for each in load.submitted]
    found = check(
        Evidence(
            history=history,
            snapshots=snapshots,
            dump=run(backend.dump()),
            violations=run(backend.orchestrator.verify()),
            findings=[],
            results=[outcome for outcome in run(backend.state_backend.outcomes(ids)) if outcome is not None],
            acknowledged=ids,
            settled=True,
        )
    )
    # Ten roots, of which two have three and two children.
    if len(snapshots) != len(ids) // 10 * 15:
        found.append(Finding("C2", None, f"{len(snapshots)} invocations for {len(ids)} roots"))
    return found + [finding for each in snapshots for finding in _findings(each)]


def _findings(snapshot: Snapshot) -> Iterator[Finding]:
    outcome: Outcome | None = snapshot.outcome
    name = snapshot.call.invocation_id
    attempts = 2 if snapshot.call.task_id.endswith(".flaky") else 1
    if outcome is None or outcome.status is not InvocationStatus.SUCCESS:
        yield Finding("C2", name, f"it did not succeed: {outcome}")
    elif (outcome.attempt, outcome.crashes) != (attempts, 0):
        yield Finding("C2", name, f"attempt {outcome.attempt} of {attempts}, {outcome.crashes} crashes")
    for each in snapshot.attempts:
        if each.reason not in HARMLESS:
            yield Finding("C2", name, f"a stretch of its life ended as {each.reason.name}: {each.detail}")
