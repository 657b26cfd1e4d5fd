"""Which claims go to which worker process, and when.

Bodies much shorter than the way to a worker are sent ahead in batches; anything longer is sent when there is a slot.
A body that turns out to be long keeps nobody behind it: what was sent ahead is taken back and goes where there is room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from pynenc.model.records import Claim
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess

_MOST_AHEAD = 64
_SHORT_S = 0.002
"""Bodies shorter than this are sent ahead in batches: the way to the worker would cost more than they do."""
_LONG_S = 0.02
"""A body that runs so long keeps others from beginning: they are taken back and go where there is room."""
_SMOOTHING = 0.1

Shares = list[tuple[WorkerProcess, list[SentRun]]]


class Dispatcher:
    """The claims that no worker has yet, in order, and how they are shared out.

    Args:
        clock: the clock of the control loop.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._backlog: deque[SentRun] = deque()
        self._mean_s = 0.0

    def __len__(self) -> int:
        return len(self._backlog)

    # --- the backlog ---

    def add(self, claims: Iterable[Claim]) -> None:
        """Queue new claims."""
        now_s = self._clock()
        self._backlog.extend(SentRun(claim, now_s) for claim in claims)

    def put_back(self, runs: Sequence[SentRun], *, behind: int = 0) -> None:
        """Queue again what a worker had and did not begin: in front, behind the first `behind`."""
        for index, run in enumerate(runs):
            self._backlog.insert(behind + index, SentRun(run.claim, run.since_s))

    def drop(self, keys: set[Key]) -> list[Claim]:
        """Forget these and return those that were here."""
        return self._take(lambda run: run.key in keys)

    def take_older(self, oldest_s: float) -> list[Claim]:
        """Forget and return what was claimed at `oldest_s` or before."""
        return self._take(lambda run: run.since_s <= oldest_s)

    def _take(self, wanted: Callable[[SentRun], bool]) -> list[Claim]:
        taken = [run.claim for run in self._backlog if wanted(run)]
        if taken:
            self._backlog = deque(run for run in self._backlog if not wanted(run))
        return taken

    # --- sharing out ---

    def ran(self, ran_us: int) -> None:
        """Take the length of a body into account."""
        self._mean_s += _SMOOTHING * (ran_us / 1e6 - self._mean_s)

    def share_out(self, workers: Iterable[WorkerProcess], most_of: Callable[[WorkerProcess], int | None]) -> Shares:
        """Take claims from the backlog for the workers that have room: those that have least first, all alike.

        Args:
            most_of: how many more a worker may have; None: any number.
        """
        if not self._backlog:
            return []
        now_s = self._clock()
        ready = sorted((each for each in workers if each.ready and not each.retiring), key=lambda each: each.busy)
        share = max(1, -(-len(self._backlog) // max(1, len(ready))))
        shares: Shares = []
        for worker in ready:
            take = min(self._room(worker, now_s), share, len(self._backlog))
            most = most_of(worker)
            take = take if most is None else min(take, most)
            if take > 0:
                shares.append((worker, [self._backlog.popleft() for _ in range(take)]))
        return shares

    def _room(self, worker: WorkerProcess, now_s: float) -> int:
        if worker.draining or worker.retiring:
            return 0
        most = _MOST_AHEAD if self._mean_s < _SHORT_S else 1
        running = worker.running()
        long = running is not None and running.began_s is not None and now_s - running.began_s >= _LONG_S
        return (1 if long else most) - worker.busy

    # --- long bodies ---

    def blocked(self, workers: Iterable[WorkerProcess]) -> list[WorkerProcess]:
        """Return the workers in which claims stand behind a long body."""
        now_s = self._clock()
        return [worker for worker in workers if (at_s := self.blocked_at_s(worker)) is not None and now_s >= at_s]

    def blocked_at_s(self, worker: WorkerProcess) -> float | None:
        """Return when a worker's body counts as long; None if nothing stands behind it."""
        since_s = worker.waiting_since_s
        return None if since_s is None else since_s + _LONG_S
