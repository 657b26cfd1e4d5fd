"""What becomes of the claims of a worker that died.

Which bodies ran is written in memory that outlives the worker (`NowRunning`), so nobody is blamed for what another one
did. In this order:
* a body that was being stopped ends as what it was being stopped for. If the runner ended the worker for its sake,
  nobody else is to blame: bodies that ran beside it go back uncounted.
* the only body that ran ended its worker: `Crash`.
* of several bodies any may be the one. They are *suspects*: all go back uncounted, and run apart from others when they
  are claimed again, in ever smaller groups, until one is alone with the end of its worker (`Dispatcher`).
* bodies that waited as a whole stood still: their stacks are `Lost`. Coroutines that await something may run branches
  meanwhile and count as running.
* claims that had not begun are run by another worker, unless they were cancelled.
"""

from __future__ import annotations

from collections.abc import Set

from msgspec import Struct
from msgspec.structs import replace

from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import Cancelled, Completion, Crash
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import ExecutorEvent, Finished, Lost, Returned
from pynenc.ports.stopping import Seen, StopReason
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess

_LONGEST_DETAIL = 4_000
_MOST_NAMED = 5


class Endings(Struct, frozen=True):
    """What follows the death of a worker."""

    events: list[ExecutorEvent]
    again: list[SentRun]
    """To be run by another worker of this runner, in this order."""
    suspects: list[InvocationId]
    """One of these ended the worker."""
    culprit: InvocationId | None
    """This one did."""


def endings_of(worker: WorkerProcess, seen: Seen, recalled: Set[Key], execution: AttemptExecution) -> Endings:
    """Return what becomes of each claim of a dead worker.

    Args:
        worker: it has ended.
        seen: how it ended, and what it left behind.
        recalled: claims that were to go back to the store if they had not begun.
        execution: says what follows an attempt that ran out of time.
    """
    to_blame, noted = _to_blame(worker), worker.noted()
    events: list[ExecutorEvent] = []
    again: list[SentRun] = []
    ended = f"its worker is gone ({seen.how})"
    for run in worker.runs.values():
        if run.key in recalled:
            events.append(Returned(*run.key, "not started when its worker died"))
        elif run.terminated or (run.key in to_blame and (run.stopping is not None or len(to_blame) == 1)):
            events.append(Finished(_end_of(run, worker, seen, execution)))
        elif run.parked and not run.watching:
            events.append(Lost(*run.key, ended))
        elif run.resumed or run.key in to_blame or run.key in noted:
            events.append(Returned(*run.key, ended))
        elif run.is_cancelled:
            events.append(Finished.unbegun(*run.key))
        else:
            again.append(run)
    blamed = [invocation_id for invocation_id, _ in to_blame]
    return Endings(events, again, blamed if len(blamed) > 1 else [], blamed[0] if len(blamed) == 1 else None)


def _to_blame(worker: WorkerProcess) -> Set[Key]:
    """Return the runs one of which the worker died of: those it noted itself, else those that should have begun."""
    if worker.blameless or any(run.terminated for run in worker.runs.values()):
        return frozenset()
    noted = worker.noted()
    # What was sent ahead may have begun without the runner having heard that the one before it is over.
    awake = {run.key for run in worker.runs.values() if run.watching or (run.key in noted and not run.parked)}
    return awake or {run.key for run in worker.running()}


def _end_of(run: SentRun, worker: WorkerProcess, seen: Seen, execution: AttemptExecution) -> Completion:
    """Return how the body that ran in a dead worker ended."""
    claim = run.claim
    why = None if run.stopping is None else StopReason(run.stopping)
    if why is StopReason.CANCEL:
        detail = "cancelled while running; its worker was ended"
        return Cancelled(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=worker.pid)
    if why is not None:
        asked = "" if why is StopReason.MEMORY else "it did not stop when asked; "
        beside = _beside(worker) if why is StopReason.MEMORY else ""
        return execution.stopped(claim, why, replace(seen, how=f"{asked}its worker was ended ({seen.how}){beside}"))
    detail = seen.report[:_LONGEST_DETAIL]
    return Crash(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=worker.pid)


def _beside(worker: WorkerProcess) -> str:
    """Return who else may hold the memory of a process: the bodies that wait in it."""
    waiting = [f"{run.claim.task_id} {id_text(run.claim.invocation_id)}" for run in worker.runs.values() if run.parked]
    if not waiting:
        return ""
    more = f" and {len(waiting) - _MOST_NAMED} more" if len(waiting) > _MOST_NAMED else ""
    named = ", ".join(waiting[:_MOST_NAMED])
    return f"; it was the only body that ran, but what waits in the same process may hold the memory: {named}{more}"
