"""Threads that run bodies: always as many runnable ones as there are slots, however many wait.

A thread holds one of `slots` permits while it runs a body. A body that waits lends its permit: another thread
goes on with the queue. To go on it takes a permit back, ahead of everything that has not started. So a pool
of one slot serves a chain of waits of any depth; what grows is the number of parked threads.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Job = TypeVar("Job")

logger = logging.getLogger(__name__)

_MANY_THREADS = 1_000
_IDLE_S = 10.0


class BodyThreads(Generic[Job]):
    """The pool. All methods may be called from any thread.

    Args:
        slots: bodies that run at a time.
        perform: runs one job in a thread of the pool; returns whether the body still holds its permit; must not
            raise.
        before_rest: called by a thread that found nothing to do, before it sleeps.
        name: of the threads.
        kept: so many threads stay when there is nothing to do; None: one for each slot.
        idle_s: how long the others stay.
    """

    def __init__(
        self,
        slots: int,
        perform: Callable[[Job], bool],
        *,
        before_rest: Callable[[], None],
        name: str,
        kept: int | None = None,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._slots = slots
        self._kept = slots if kept is None else kept
        self._idle_s = idle_s
        self._perform = perform
        self._before_rest = before_rest
        self._name = name
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()
        self._returning: deque[Callable[[], bool]] = deque()
        self._resting: list[threading.Lock] = []
        self._running = 0
        self._threads = 0
        self._born = 0
        self._warned = False
        self._closed = False

    @property
    def pending(self) -> bool:
        """Whether a thread that ends its body now finds something to do."""
        return bool(self._queue or self._returning)

    def put(self, jobs: Iterable[Job]) -> None:
        """Queue `jobs`, in this order."""
        with self._lock:
            self._queue.extend(jobs)
            self._employ()

    def take_back(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove and return the queued jobs that are `wanted`."""
        with self._lock:
            taken = [job for job in self._queue if wanted(job)]
            if taken:
                self._queue = deque(job for job in self._queue if not wanted(job))
            return taken

    def lend(self) -> None:
        """Give the calling body's permit away."""
        with self._lock:
            self._running -= 1
            self._employ()

    def reclaim(self, go: Callable[[], bool]) -> None:
        """Call `go` as soon as a permit is free; it returns whether it takes it. `go` must not block."""
        with self._lock:
            self._returning.append(go)
            self._employ()

    def close(self) -> None:
        """Drop what is queued and let threads end when their bodies do."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            for bell in self._resting:
                bell.release()
            self._resting.clear()

    def _employ(self) -> None:
        """Put one more permit to use if that makes sense; whoever gets it passes on the next. Needs the lock."""
        while self._returning and self._running < self._slots:
            if self._returning.popleft()():
                self._running += 1
        if self._queue and self._running < self._slots:
            self._running += 1
            if self._resting:
                self._resting.pop().release()
            else:
                self._hire()

    def _hire(self) -> None:
        self._threads += 1
        self._born += 1
        if self._threads >= _MANY_THREADS and not self._warned:
            self._warned = True
            logger.warning("%s: %d threads, nearly all of them parked in waiting bodies", self._name, self._threads)
        threading.Thread(target=self._work, name=f"{self._name}-{self._born}", daemon=True).start()

    def _work(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        job: Job | None = None
        while True:
            held = job is None or self._perform(job)
            if not self._queue and not self._returning:
                self._before_rest()
            with self._lock:
                job = self._next() if held else None
                if self._closed or (job is None and len(self._resting) >= self._slots):
                    self._threads -= 1
                    return
                if job is None:
                    self._resting.append(bell)
                    # The last to rest is the first to be woken: those below are the ones that stay.
                    stays = len(self._resting) <= self._kept
            if job is None and not bell.acquire(timeout=-1 if stays else self._idle_s) and self._leaves(bell):
                return

    def _leaves(self, bell: threading.Lock) -> bool:
        """Let a thread end that nobody woke for long; False: it was woken just now."""
        with self._lock:
            if bell in self._resting:
                self._resting.remove(bell)
                self._threads -= 1
                return True
        bell.acquire()
        return False

    def _next(self) -> Job | None:
        """Return the next job for the permit that the calling thread holds; None: somebody else got it, or nobody.

        Needs the lock.
        """
        while self._returning:
            if self._returning.popleft()():
                return None
        if self._queue:
            job = self._queue.popleft()
            self._employ()
            return job
        self._running -= 1
        return None
