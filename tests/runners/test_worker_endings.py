"""Who is blamed for the end of a worker."""

from __future__ import annotations

import signal
from typing import Any, cast

import pytest

from pynenc.model.ids import Epoch, SessionId, new_invocation_id
from pynenc.model.records import Cancelled, Claim
from pynenc.ports.executor import Finished
from pynenc.ports.stopping import StopReason
from pynenc.runners.limit_keeper import force
from pynenc.runners.worker_endings import endings_of
from pynenc.runners.worker_process import SentRun, WorkerProcess

pytestmark = pytest.mark.faults

NO_EXECUTION = cast(Any, None)


def sent_run() -> SentRun:
    claim = Claim(
        invocation_id=new_invocation_id(),
        session=SessionId(1),
        epoch=Epoch(1),
        attempt=1,
        crashes=0,
        task_id="t",
        arguments=b"",
        policy=b"",
        meta=b"",
        queue="default",
        rank=0,
    )
    return SentRun(claim, 0.0)


def test_a_body_that_ends_just_as_its_worker_is_ended_for_it_leaves_nobody_to_blame() -> None:
    worker = WorkerProcess(0.0, slots=2)
    stubborn, neighbour = sent_run(), sent_run()
    for each in (stubborn, neighbour):
        worker.add(each)
    worker.begin(0.0)

    for _ in ("its stack", "SIGTERM"):
        force(worker, stubborn, 0.0, pause_s=1.0)
    worker.remove(stubborn.key)
    endings = endings_of(worker, worker.end(), set(), NO_EXECUTION)

    assert not endings.events
    assert endings.again == [neighbour]
    assert endings.culprit is None


def test_what_was_cancelled_and_had_not_begun_runs_on_no_other_worker() -> None:
    worker = WorkerProcess(0.0, slots=1)
    running, cancelled, unbegun = sent_run(), sent_run(), sent_run()
    for each in (running, cancelled, unbegun):
        worker.add(each)
    worker.begin(0.0)
    cancelled.stopping = StopReason.CANCEL.value

    worker.signal(signal.SIGKILL)
    endings = endings_of(worker, worker.end(), set(), NO_EXECUTION)

    assert endings.again == [unbegun]
    ended = {
        event.completion.invocation_id: event.completion for event in endings.events if isinstance(event, Finished)
    }
    assert isinstance(ended[cancelled.claim.invocation_id], Cancelled)
