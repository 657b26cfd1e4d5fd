"""What becomes of the claims of a worker that died.

The body that ran ends as `Crash`, or as what it was being stopped for. Claims it had not begun are run by another
worker, stacks that waited are `Lost`. Which body ran is written in memory that outlives the worker, so nobody is blamed
for what another one did.
"""

from __future__ import annotations

from collections.abc import Set

from msgspec import Struct
from msgspec.structs import replace

from pynenc.model.records import Cancelled, Completion, Crash
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import ExecutorEvent, Finished, Lost, Returned
from pynenc.ports.stopping import Seen, StopReason
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess

_LONGEST_DETAIL = 4_000


class Endings(Struct, frozen=True):
    """What follows the death of a worker."""

    events: list[ExecutorEvent]
    again: list[SentRun]
    """To be run by another worker of this runner, in this order."""


def endings_of(worker: WorkerProcess, seen: Seen, recalled: Set[Key], execution: AttemptExecution) -> Endings:
    """Return what becomes of each claim of a dead worker.

    Args:
        worker: it has ended.
        seen: how it ended, and what it left behind.
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
            events.append(Finished(_end_of(run, worker, seen, execution)))
        elif run.parked:
            events.append(Lost(*run.key, f"its worker is gone ({seen.how})"))
        elif run.resumed:
            events.append(Returned(*run.key, f"its worker is gone ({seen.how})"))
        else:
            again.append(run)
    return Endings(events, again)


def _culprit(worker: WorkerProcess) -> Key | None:
    """Return the run whose body the worker died in: what it noted itself, else the first in the order sent."""
    noted = worker.runs.get(worker.last_running())
    if noted is None or noted.parked:
        noted = worker.running()
    return None if noted is None else noted.key


def _end_of(run: SentRun, worker: WorkerProcess, seen: Seen, execution: AttemptExecution) -> Completion:
    """Return how the body that ran in a dead worker ended."""
    claim = run.claim
    why = None if run.stopping is None else StopReason(run.stopping)
    if why is StopReason.CANCEL:
        detail = "cancelled while running; its worker was ended"
        return Cancelled(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=worker.pid)
    if why is not None:
        asked = "" if why is StopReason.MEMORY else "it did not stop when asked; "
        return execution.stopped(claim, why, replace(seen, how=f"{asked}its worker was ended ({seen.how})"))
    detail = seen.report[:_LONGEST_DETAIL]
    return Crash(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=worker.pid)
