"""The worker processes of a runner: started, listened to, replaced, ended.

A worker that had served is replaced at once: by a spare, if the fleet keeps any, which has loaded the app and had
nothing to do so far; a new process takes the place of the spare. One that does not come up says why before it ends;
replacements then come ever slower, so that a broken app costs neither a core nor a flood of log lines.
"""

from __future__ import annotations

import logging
import selectors
import signal
from collections.abc import Callable, Iterator, Sequence

import msgspec

from pynenc.ports.stopping import Seen
from pynenc.runners.worker_process import WorkerProcess
from pynenc.wire.frames import Bye, Frame, FrameType, Welcome

logger = logging.getLogger(__name__)

_FIRST_RESTART_S, _LONGEST_RESTART_S = 0.1, 10.0
_DYING_S = 0.5
_ENDING_S = 0.05
_LEAVING_S = 10.0
"""What a worker that was asked to end has to send what its middleware has buffered."""


class WorkerFleet:
    """As many workers as are wanted, each told `welcome`.

    Args:
        welcome: what each worker is told first.
        size: how many there should be.
        slots: bodies that each runs at a time.
        spares: how many more are kept ready to take the place of one that is gone; iterating passes over them.
        clock: the clock of the control loop.
    """

    def __init__(self, welcome: Welcome, *, size: int, slots: int, spares: int = 0, clock: Callable[[], float]) -> None:
        self.size = size
        self.apart = 0
        """How many there should be beside those, for bodies that are suspected of ending workers."""
        self._welcome = welcome
        self._slots = slots
        self._spares = spares
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._restart_pause_s = 0.0
        self._not_before_s = clock()
        """When the next worker may be started."""
        self._closed = False

    def __iter__(self) -> Iterator[WorkerProcess]:
        return (worker for worker in self._workers if not worker.is_spare)

    @property
    def everyone(self) -> Sequence[WorkerProcess]:
        """All processes, spares included."""
        return self._workers

    def __contains__(self, worker: WorkerProcess) -> bool:
        return worker in self._workers

    def fileno(self) -> int:
        descriptor: int = self._selector.fileno()
        return descriptor

    @property
    def due_at_s(self) -> float | None:
        """When `adjust` has something to do; None if all are there."""
        missing = self._missing(apart=False) > 0 or self._missing(apart=True) > 0 or self._missing_spares() > 0
        moments = [self._not_before_s] if missing else []
        moments += [worker.leave_by_s for worker in self._workers if worker.leave_by_s is not None]
        return min(moments, default=None)

    @property
    def is_up(self) -> bool:
        """Whether all that are wanted are there and have loaded the app."""
        return all(worker.ready for worker in self) and self._missing(apart=False) <= 0

    # --- talking ---

    def send(self, worker: WorkerProcess, kind: FrameType, body: msgspec.Struct, seq: int = 0) -> None:
        """Send a frame; what the socket does not take now follows while `listen` is called.

        Raises:
            FrameTooLarge: its body is too large to be sent.
        """
        worker.send(kind, body, seq)
        self._watch(worker)

    def listen(self) -> Iterator[tuple[WorkerProcess, list[Frame], bool]]:
        """Yield what workers said, and whether they are still there; send on what was left."""
        for key, mask in self._selector.select(0):
            worker: WorkerProcess = key.data
            if worker not in self._workers:
                continue
            if mask & selectors.EVENT_WRITE:
                worker.flush()
                self._watch(worker)
            if mask & selectors.EVENT_READ:
                frames, alive = worker.read()
                yield worker, frames, alive and key.fd != worker.exit_fd

    def _watch(self, worker: WorkerProcess) -> None:
        """Ask to be told when a socket takes more, while there is more."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.has_unsent else 0)
        if self._selector.get_key(worker.fileno()).events != events:
            self._selector.modify(worker.fileno(), events, worker)

    # --- coming and going ---

    def adjust(self) -> None:
        """Start what is missing, if it is time, and let go what is too much and has nothing to do."""
        self.fill_in()
        may_start = self._clock() >= self._not_before_s and not self._closed
        for apart in (False, True):
            missing = self._missing(apart=apart)
            if missing > 0 and may_start:
                self._start(missing, apart=apart)
            elif missing < 0:
                idle = [worker for worker in self if worker.is_idle and worker.apart is apart]
                for worker in idle[missing:]:
                    self.retire(worker, "there is nothing to do for it")
        if may_start:
            self._start(self._missing_spares(), spare=True)
        self._dismiss()

    def fill_in(self) -> None:
        """Have spares take the places of workers that are missing, those first that have loaded the app."""
        spares = [worker for worker in self._workers if worker.is_spare and not worker.retiring]
        spares.sort(key=lambda each: each.ready)
        for apart in (False, True):
            for _ in range(min(len(spares), self._missing(apart=apart))):
                spares.pop().take_place(apart=apart)

    def came_up(self, worker: WorkerProcess) -> None:
        """Note that a worker has loaded the app."""
        worker.ready = True
        worker.ready_at_s = self._clock()
        self._restart_pause_s = 0.0

    def retire(self, worker: WorkerProcess, why: str) -> None:
        """Give a worker no more to do: `adjust` starts another one in its place, and ends it when it is idle."""
        logger.info("worker %d retires: %s", worker.pid, why)
        worker.retiring = why

    def _dismiss(self) -> None:
        """Ask retiring workers to end in which nothing is left; end those by force that do not."""
        for worker in self._workers:
            if worker.leave_by_s is not None and self._clock() >= worker.leave_by_s:
                logger.warning(
                    "worker %d did not end within %g s, its middleware may hang in `flush`: it is killed",
                    worker.pid,
                    _LEAVING_S,
                )
                worker.leave_by_s = None
                worker.signal(signal.SIGKILL)
            elif worker.retiring and not worker.runs and not worker.dismissed:
                worker.dismissed = True
                worker.leave_by_s = self._clock() + _LEAVING_S
                self.send(worker, FrameType.BYE, Bye(worker.retiring))

    def remove(self, worker: WorkerProcess) -> Seen:
        """Take account of a worker that is gone, and return what was seen of it."""
        self._forget(worker)
        seen = worker.end(_DYING_S)
        if not worker.retiring:
            self._pause(worker)
        return seen

    def close(self, grace_s: float) -> None:
        """End the workers: asked first, killed after `grace_s`."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.send(FrameType.BYE, Bye("the runner ends"))
        deadline_s = self._clock() + grace_s
        for worker in self._workers:
            worker.end(max(_ENDING_S, deadline_s - self._clock()))
        self._workers.clear()
        self._selector.close()

    def _missing(self, *, apart: bool) -> int:
        there = sum(worker.apart is apart and not worker.retiring for worker in self)
        return (self.apart if apart else self.size) - there

    def _missing_spares(self) -> int:
        """Return how many spares to start: none before all workers are there, which they would only hold up."""
        if not self._spares or not self.is_up:
            return 0
        return self._spares - sum(worker.is_spare and not worker.retiring for worker in self._workers)

    def _start(self, number: int, *, apart: bool = False, spare: bool = False) -> None:
        """Start workers; what the system refuses for now (no process or descriptor is left) is tried again later."""
        try:
            for _ in range(number):
                self._add(apart=apart, spare=spare)
        except OSError as error:
            self._back_off()
            logger.error("no worker can be started (%s); trying again in %.1f s", error, self._restart_pause_s)

    def _back_off(self) -> None:
        self._restart_pause_s = min(_LONGEST_RESTART_S, self._restart_pause_s * 2 or _FIRST_RESTART_S)
        self._not_before_s = self._clock() + self._restart_pause_s

    def _add(self, *, apart: bool, spare: bool) -> None:
        worker = WorkerProcess(self._clock(), slots=self._slots, apart=apart, spare=spare)
        self._workers.append(worker)
        self._selector.register(worker.fileno(), selectors.EVENT_READ, worker)
        if worker.exit_fd is not None:
            self._selector.register(worker.exit_fd, selectors.EVENT_READ, worker)
        self.send(worker, FrameType.WELCOME, self._welcome)

    def _forget(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker.fileno())
        if worker.exit_fd is not None:
            self._selector.unregister(worker.exit_fd)
        self._workers.remove(worker)

    def _pause(self, worker: WorkerProcess) -> None:
        """Let the next one start at once after a worker that had served; back off from ones that do not come up."""
        if worker.ready:
            self._restart_pause_s = 0.0
            self._not_before_s = self._clock()
            return
        self._back_off()
        logger.error(
            "worker %d did not come up: %s; the next one follows in %.1f s",
            worker.pid,
            worker.farewell or "it said nothing",
            self._restart_pause_s,
        )
