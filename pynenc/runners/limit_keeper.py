"""Keeps the limits of worker processes and of the bodies in them.

States of a worker here: serving -> retiring (gets no more bodies, its replacement starts) -> asked to end, once nothing
is left in it. Retiring is decided between bodies, so nothing is interrupted by it. While bodies run that have a limit
of memory or of processor time, the keeper looks at their workers:
* above the hard limit of memory a worker is killed. If one body ran in it, that body fails as `TaskMemoryExceeded`;
  if several did, nobody knows whose memory it was: they begin again apart, until one is alone (`worker_endings`).
* a body above its processor time is stopped like one above its time: asked, then ended by force.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable

from pynenc.model.policies import decode_policy
from pynenc.ports.stopping import StopReason
from pynenc.runners.black_box import STACKS
from pynenc.runners.vitals import can_be_read, read_vitals
from pynenc.runners.worker_limits import WorkerLimits
from pynenc.runners.worker_process import CpuAllowance, SentRun, WorkerProcess

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
_SHORTEST_LOOK_S = 0.02
_STACKS_TO_KILL_S = 0.01

Stop = Callable[[SentRun, StopReason], None]


class LimitKeeper:
    """Looks at workers.

    Args:
        limits: of each worker.
        clock: the clock of the control loop.
        stop: asks a body to stop.
    """

    def __init__(self, limits: WorkerLimits, clock: Callable[[], float], stop: Stop) -> None:
        self._limits = limits
        self._clock = clock
        self._stop = stop
        self._look_at_s: float | None = None
        self._sees = can_be_read()
        if limits.need_vitals and not self._sees:
            logger.warning("this system does not tell what processes use: limits of memory are not kept")

    @property
    def due_at_s(self) -> float | None:
        """When `look` should be called next; None: not before another body begins."""
        return self._look_at_s

    def began(self, run: SentRun) -> None:
        """Note that a body begins, or goes on after it waited: while all wait nobody looks."""
        if self._sees and self._limits.hard_memory_bytes is not None:
            self._look_by(self._clock() + _LOOK_EVERY_S)
        if run.cpu is not None:
            self._look_by(self._clock() + _SHORTEST_LOOK_S)

    def cpu_began(self, worker: WorkerProcess, run: SentRun, thread: int) -> None:
        """Note in which thread a body with a limit of processor time runs from now on."""
        vitals = read_vitals(worker.pid, thread)
        limit_us = decode_policy(run.claim.policy).cpu_limit_us
        if vitals is not None and limit_us is not None:
            run.cpu = CpuAllowance(thread, vitals.cpu_s + limit_us / 1e6)
            self._look_by(self._clock() + _SHORTEST_LOOK_S)

    def room(self, worker: WorkerProcess) -> int | None:
        """Return how many more bodies a worker may have; None: any number."""
        most = self._limits.max_tasks
        return max(0, most - worker.tasks - len(worker.runs)) if most else None

    def reason_to_retire(self, worker: WorkerProcess) -> str | None:
        """Return why a worker should be replaced, now that a body in it has ended or waits."""
        looks = self._limits.memory_bytes is not None and self._sees
        # Bodies that wait have used up their share too: else there might be no worker left for what they wait for.
        tasks = worker.tasks + sum(run.parked for run in worker.runs.values())
        return self._limits.reason_to_retire(tasks, read_vitals(worker.pid) if looks else None)

    def aged(self, workers: Iterable[WorkerProcess]) -> WorkerProcess | None:
        """Return a worker to be replaced for its age: the oldest, and one after the other."""
        oldest = self._oldest(workers)
        due_s = None if oldest is None else self._limits.due_at_s(oldest.ready_at_s)
        return oldest if due_s is not None and self._clock() >= due_s else None

    def aging_at_s(self, workers: Iterable[WorkerProcess]) -> float | None:
        """Return when `aged` has something to say."""
        oldest = self._oldest(workers)
        return None if oldest is None else self._limits.due_at_s(oldest.ready_at_s)

    def _oldest(self, workers: Iterable[WorkerProcess]) -> WorkerProcess | None:
        if self._limits.max_age_s is None:
            return None
        known = list(workers)
        if any(worker.retiring or not worker.ready for worker in known):
            return None
        return min(known, key=lambda each: each.ready_at_s, default=None)

    def look(self, workers: Iterable[WorkerProcess]) -> None:
        """Look at the workers whose bodies have limits, if it is time."""
        now_s = self._clock()
        if self._look_at_s is None or now_s < self._look_at_s:
            return
        self._look_at_s = None
        for worker in workers:
            running = [run for run in worker.runs.values() if run.began and not run.parked]
            if running:
                self._look_at(worker, running, now_s)

    def _look_at(self, worker: WorkerProcess, running: list[SentRun], now_s: float) -> None:
        vitals = read_vitals(worker.pid)
        if vitals is None:
            return
        worker.note_memory(vitals.memory_bytes)
        if self._limits.is_over(vitals):
            self._end_for_memory(worker, running, now_s)
            return
        if self._limits.hard_memory_bytes is not None:
            self._look_by(now_s + _LOOK_EVERY_S)
        for run in running:
            if run.cpu is not None and run.stopping is None:
                self._look_at_cpu(worker, run, run.cpu, now_s)

    def _look_at_cpu(self, worker: WorkerProcess, run: SentRun, allowance: CpuAllowance, now_s: float) -> None:
        vitals = read_vitals(worker.pid, allowance.thread)
        if vitals is None:
            return
        left_s = allowance.until_s - vitals.cpu_s
        if left_s <= 0:
            self._stop(run, StopReason.CPU_TIME)
        else:
            # A thread uses up processor time no faster than time passes.
            self._look_by(now_s + max(_SHORTEST_LOOK_S, left_s))

    def _end_for_memory(self, worker: WorkerProcess, running: list[SentRun], now_s: float) -> None:
        """Have the worker say where it stands, then kill it: asking would let it grow on."""
        logger.warning("worker %d uses more memory than it may and is killed", worker.pid)
        if len(running) > 1:
            worker.signal(signal.SIGKILL)
            return
        (run,) = running
        worker.signal(STACKS)
        run.stopping = StopReason.MEMORY.value
        run.terminated = True
        worker.doom(run, now_s + _STACKS_TO_KILL_S)

    def _look_by(self, at_s: float) -> None:
        if self._look_at_s is None or at_s < self._look_at_s:
            self._look_at_s = at_s


def force(worker: WorkerProcess, run: SentRun, now_s: float, *, pause_s: float) -> None:
    """End a body by force that did not stop when asked, one step a call: its stack, SIGTERM, SIGKILL.

    Args:
        pause_s: from SIGTERM to SIGKILL.
    """
    if not run.stacks_asked and not run.terminated:
        run.stacks_asked = True
        vitals = read_vitals(worker.pid)
        if vitals is not None:
            worker.note_memory(vitals.memory_bytes)
        worker.signal(STACKS)
        run.kill_at_s = now_s + _LOOK_EVERY_S
        return
    # The body may still end by itself, and its neighbours must not answer for the end of the worker then.
    worker.blameless = True
    worker.signal(signal.SIGKILL if run.terminated else signal.SIGTERM)
    run.terminated = True
    run.kill_at_s = now_s + pause_s
