"""Which claims go to which worker process, and when.

Bodies much shorter than the way to a worker are sent ahead in batches; anything longer is sent when there is a slot.
Bodies that turn out to be long keep nobody behind them: what was sent ahead is taken back and goes where there is room.

Bodies of which one ended a worker (`Suspects`) run apart, in workers that run nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from pynenc.model.records import Claim
from pynenc.runners.suspects import Suspects
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess

_MOST_AHEAD = 64
_SHORT_S = 0.002
"""Bodies shorter than this are sent ahead in batches: the way to the worker would cost more than they do."""
_LONG_S = 0.02
"""Bodies that run so long keep others from beginning: they are taken back and go where there is room."""
_SMOOTHING = 0.1
_MOST_APART = 8
"""Workers that run suspects at a time; those in which all wait do not count: what they wait for may be suspect too."""

Shares = list[tuple[WorkerProcess, list[SentRun]]]


class Dispatcher:
    """The claims that no worker has yet, in order, and how they are shared out.

    Args:
        clock: the clock of the control loop.
        slots: bodies that a worker runs at a time.
        ahead: whether a worker may be sent more than it has slots for.
    """

    def __init__(self, clock: Callable[[], float], *, slots: int, ahead: bool) -> None:
        self._clock = clock
        self._slots = slots
        self._ahead = ahead
        self._backlog: deque[SentRun] = deque()
        self._groups: deque[list[SentRun]] = deque()
        """Suspects that wait for a worker apart."""
        self.suspects = Suspects(alone=slots == 1)
        self._mean_s = 0.0

    def __len__(self) -> int:
        return len(self._backlog) + sum(map(len, self._groups))

    # --- what waits ---

    def add(self, claims: Iterable[Claim]) -> None:
        """Queue new claims."""
        now_s = self._clock()
        groups: dict[int, list[SentRun]] = {}
        for claim in claims:
            run = SentRun(claim, now_s)
            number = self.suspects.group_of(claim)
            if number is None:
                self._backlog.append(run)
            else:
                groups.setdefault(number, []).append(run)
        for group in groups.values():
            self._groups.extend(group[at : at + self._slots] for at in range(0, len(group), self._slots))

    def put_back(self, runs: Sequence[SentRun], *, behind: int = 0) -> None:
        """Queue again what a worker had: in front, behind the first `behind`."""
        for index, run in enumerate(runs):
            self._backlog.insert(behind + index, SentRun(run.claim, run.since_s))

    def drop(self, keys: set[Key]) -> list[Claim]:
        """Forget these and return those that were here."""
        dropped = self._take(lambda run: run.key in keys)
        for group in self._groups:
            dropped += [run.claim for run in group if run.key in keys]
        groups = ([run for run in group if run.key not in keys] for group in self._groups)
        self._groups = deque(group for group in groups if group)
        return dropped

    def take_older(self, oldest_s: float) -> list[Claim]:
        """Forget and return what was claimed at `oldest_s` or before, but for suspects: others know nothing of them."""
        return self._take(lambda run: run.since_s <= oldest_s)

    def take_suspects(self) -> list[Claim]:
        """Forget and return the suspects that wait."""
        taken = [run.claim for group in self._groups for run in group]
        self._groups.clear()
        return taken

    def _take(self, wanted: Callable[[SentRun], bool]) -> list[Claim]:
        taken = [run.claim for run in self._backlog if wanted(run)]
        if taken:
            self._backlog = deque(run for run in self._backlog if not wanted(run))
        return taken

    # --- sharing out ---

    def ran(self, ran_us: int) -> None:
        """Take the length of a body into account."""
        self._mean_s += _SMOOTHING * (ran_us / 1e6 - self._mean_s)

    def workers_apart(self, workers: Iterable[WorkerProcess]) -> int:
        """Return how many workers suspects need, beside retiring ones: bodies that wait are beyond the limit."""
        in_use = [worker for worker in workers if worker.apart and worker.runs and not worker.retiring]
        standing = sum(worker.busy == 0 for worker in in_use)
        return standing + min(_MOST_APART, len(in_use) - standing + len(self._groups))

    def share_out(self, workers: Iterable[WorkerProcess], most_of: Callable[[WorkerProcess], int | None]) -> Shares:
        """Take claims for the workers that have room: those that have least first, all alike.

        Args:
            most_of: how many more a worker may have; None: any number.
        """
        shares: Shares = []
        if self._groups:
            apart = (worker for worker in workers if worker.apart and self._takes(worker) and not worker.runs)
            shares += [(worker, self._groups.popleft()) for worker in apart if self._groups]
        if not self._backlog:
            return shares
        now_s = self._clock()
        ready = [worker for worker in workers if not worker.apart and self._takes(worker)]
        share = max(1, -(-len(self._backlog) // max(1, len(ready))))
        for worker in sorted(ready, key=lambda each: (each.busy, each.parked)):
            take = min(self._room(worker, now_s), share, len(self._backlog))
            most = most_of(worker)
            take = take if most is None else min(take, most)
            if take > 0:
                shares.append((worker, [self._backlog.popleft() for _ in range(take)]))
        return shares

    def _takes(self, worker: WorkerProcess) -> bool:
        return worker.ready and not worker.draining and not worker.retiring

    def _room(self, worker: WorkerProcess, now_s: float) -> int:
        short = self._ahead and self._mean_s < _SHORT_S and not self._runs_only_long(worker, now_s)
        return (max(_MOST_AHEAD, self._slots) if short else self._slots) - worker.busy

    # --- long bodies ---

    def _runs_only_long(self, worker: WorkerProcess, now_s: float) -> bool:
        if worker.free_slots > 0:
            return False
        return all(now_s - run.began_s >= _LONG_S for run in worker.running() if run.began_s is not None)

    def blocked(self, workers: Iterable[WorkerProcess]) -> list[WorkerProcess]:
        """Return the workers in which claims stand behind long bodies."""
        now_s = self._clock()
        return [worker for worker in workers if (at_s := self.blocked_at_s(worker)) is not None and now_s >= at_s]

    def blocked_at_s(self, worker: WorkerProcess) -> float | None:
        """Return when the bodies that a worker runs all count as long; None if nothing stands behind them."""
        since_s = worker.waiting_since_s
        return None if since_s is None else since_s + _LONG_S
