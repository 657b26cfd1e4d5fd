"""What becomes of the claims of a worker that died.

The body that ran ends as `Crash`, or as what it was being stopped for. Claims it had not begun are run by another
worker, stacks that waited are `Lost`. Which body ran is written in memory that outlives the worker, so nobody is blamed
for what another one did.
"""

from __future__ import annotations

from collections.abc import Set

from msgspec import Struct

from pynenc.model.records import Cancelled, Completion, Crash
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import ExecutorEvent, Finished, Lost, Returned, StopReason
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess


class Endings(Struct, frozen=True):
    """What follows the death of a worker."""

    events: list[ExecutorEvent]
    again: list[SentRun]
    """To be run by another worker of this runner, in this order."""


def endings_of(worker: WorkerProcess, how: str, recalled: Set[Key], execution: AttemptExecution) -> Endings:
    """Return what becomes of each claim of a dead worker.

    Args:
        worker: it has ended.
        how: how it ended, for people.
        recalled: claims that were to go back to the store if they had not begun.
        execution: says what follows an attempt that ran out of time.
    """
    culprit = _culprit(worker)
    events: list[ExecutorEvent] = []
    again: list[SentRun] = []
    for run in worker.runs.values():
        if run.key in recalled:
            events.append(Returned(*run.key, "not started when its worker died"))
        elif run.key == culprit or run.watching or run.terminated:
            events.append(Finished(_end_of(run, worker, how, execution)))
        elif run.parked:
            events.append(Lost(*run.key, f"its worker is gone ({how})"))
        elif run.resumed:
            events.append(Returned(*run.key, f"its worker is gone ({how})"))
        else:
            again.append(run)
    return Endings(events, again)


def _culprit(worker: WorkerProcess) -> Key | None:
    """Return the run whose body the worker died in: what it noted itself, else the first in the order sent."""
    noted = worker.runs.get(worker.last_running())
    if noted is None or noted.parked:
        noted = worker.running()
    return None if noted is None else noted.key


def _end_of(run: SentRun, worker: WorkerProcess, how: str, execution: AttemptExecution) -> Completion:
    """Return how the body that ran in a dead worker ended."""
    claim = run.claim
    if run.stopping == StopReason.TIMEOUT.value:
        return execution.timed_out(claim, f"it did not stop when asked; its worker was ended ({how})")
    if run.stopping == StopReason.CANCEL.value:
        detail = "cancelled while running; its worker was ended"
        return Cancelled(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=worker.pid)
    return Crash(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=how, worker=worker.pid)
