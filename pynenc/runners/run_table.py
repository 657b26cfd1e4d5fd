"""What a control loop knows of the invocations its session owns."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from enum import IntEnum

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.policies import decode_policy
from pynenc.model.records import Claim, Started, Suspend
from pynenc.runners.waiting_runs import WaitingRuns


class Phase(IntEnum):
    """Where a run stands, as its runner sees it."""

    CLAIMED = 0
    """Handed to the executor; not known to have begun."""
    RUNNING = 1
    SUSPENDED = 2
    """Its body waits; the store was told, or is about to be."""


class Run:
    """One claimed invocation until its end is handed to the store."""

    __slots__ = (
        "began_s",
        "cancel_told",
        "counted",
        "epoch",
        "generation",
        "invocation_id",
        "phase",
        "queue",
        "rank",
        "suspend",
        "timeout_s",
        "used_s",
        "worker",
    )

    def __init__(self, claim: Claim) -> None:
        self.invocation_id = claim.invocation_id
        self.epoch = claim.epoch
        self.queue = claim.queue
        self.counted = False
        """Whether it counts as in hand."""
        self.phase = Phase.CLAIMED
        self.rank = claim.rank
        """Its place among those that wait here; falls when somebody before it waits for it."""
        self.worker = 0
        self.began_s: float | None = None
        """When the current stretch of running began; None while it does not run."""
        self.used_s = 0.0
        """Length of earlier stretches."""
        self.suspend: Suspend | None = None
        self.cancel_told = False
        self.generation = 0
        """Grows with every change that makes an armed deadline void."""
        policy = decode_policy(claim.policy) if claim.policy else None
        self.timeout_s = None if policy is None or policy.timeout_us is None else policy.timeout_us / 1e6


class RunTable:
    """All runs of a session by id, those not yet reported as started, and the deadlines of those with a timeout."""

    def __init__(self) -> None:
        self._runs: dict[InvocationId, Run] = {}
        self._unreported: dict[InvocationId, Run] = {}
        self._unbegun = 0
        self.in_hand: dict[str, int] = {}
        """By queue: how many run or are about to; those that wait for others do not count."""
        self._deadlines: list[tuple[float, InvocationId, Epoch, int]] = []
        self.waiting = WaitingRuns()
        self.ended = 0
        """How many runs were forgotten so far."""

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def get(self, invocation_id: InvocationId, epoch: Epoch | None = None) -> Run | None:
        """Return the run of `invocation_id` if there is one, of this epoch if one is given."""
        run = self._runs.get(invocation_id)
        return run if run is not None and (epoch is None or run.epoch == epoch) else None

    def add(self, claim: Claim) -> Run:
        """Note that the executor was given `claim`."""
        run = Run(claim)
        self._runs[claim.invocation_id] = run
        self._unbegun += 1
        self._count(run)
        return run

    def remove(self, invocation_id: InvocationId, epoch: Epoch) -> Run | None:
        """Forget a run and return it; None if it is not there."""
        run = self._runs.get(invocation_id)
        if run is None or run.epoch != epoch:
            return None
        del self._runs[invocation_id]
        self._uncount(run)
        self.ended += 1
        self.waiting.discard(run)
        if run.phase is Phase.CLAIMED:
            self._unbegun -= 1
        elif self._unreported:
            self._unreported.pop(invocation_id, None)
        return run

    def _count(self, run: Run) -> None:
        if not run.counted:
            run.counted = True
            self.in_hand[run.queue] = self.in_hand.get(run.queue, 0) + 1

    def _uncount(self, run: Run) -> None:
        if run.counted:
            run.counted = False
            self.in_hand[run.queue] -= 1

    # --- running, waiting ---

    @property
    def has_unreported(self) -> bool:
        """Whether a body runs that the store has not heard of."""
        return bool(self._unreported)

    @property
    def reports_pending(self) -> bool:
        """Whether a body runs, or may run by now, that the store has not heard of."""
        return bool(self._unbegun or self._unreported)

    def began(self, run: Run, at_s: float, worker: int) -> None:
        """Note that its body began."""
        if run.phase is Phase.CLAIMED:
            self._unbegun -= 1
            self._unreported[run.invocation_id] = run
            run.worker = worker
            self._running(run, at_s)

    def suspended(self, run: Run, suspend: Suspend, now_s: float) -> None:
        """Note that its body waits: its clock stands still."""
        if run.phase is Phase.CLAIMED:
            self._unbegun -= 1
        self._unreported.pop(run.invocation_id, None)
        run.phase = Phase.SUSPENDED
        run.suspend = suspend
        self.waiting.add(run, whole=True)
        self._stop_clock(run, now_s)

    def branch_waits(self, run: Run, now_s: float) -> None:
        """Note that some branch of its body waits: its clock stands still."""
        self.waiting.add(run, whole=False)
        self._stop_clock(run, now_s)

    def no_branch_waits(self, run: Run, now_s: float) -> None:
        """Note that no branch of its body waits any more."""
        self.waiting.discard(run)
        self._start_clock(run, now_s)

    def resumed(self, run: Run, now_s: float) -> None:
        """Note that its body goes on."""
        run.suspend = None
        self._running(run, now_s)

    def take_started(self, now_s: float) -> tuple[Started, ...]:
        """Return the reports of all that run and were not reported; they count as reported from now on."""
        if not self._unreported:
            return ()
        reports = tuple(
            Started(run.invocation_id, run.epoch, run.worker, int((now_s - (run.began_s or now_s)) * 1e6))
            for run in self._unreported.values()
        )
        self._unreported.clear()
        return reports

    def report_again(self) -> None:
        """Report everything that runs once more: nobody knows what arrived."""
        self._unreported = {run.invocation_id: run for run in self if run.phase is Phase.RUNNING}

    # --- timeouts ---

    def _stop_clock(self, run: Run, now_s: float) -> None:
        # Time that it waits is not its own.
        self._uncount(run)
        if run.began_s is not None:
            run.used_s += now_s - run.began_s
            run.began_s = None
        run.generation += 1

    def _start_clock(self, run: Run, now_s: float) -> None:
        self._count(run)
        run.began_s = now_s
        run.generation += 1
        if run.timeout_s is not None:
            at_s = now_s + run.timeout_s - run.used_s
            heapq.heappush(self._deadlines, (at_s, run.invocation_id, run.epoch, run.generation))

    def next_deadline_s(self) -> float | None:
        """Return when the next run exceeds its timeout."""
        while self._deadlines and self._armed(self._deadlines[0]) is None:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def take_overdue(self, now_s: float) -> list[Run]:
        """Return the runs that exceeded their timeout, each once."""
        overdue = []
        while self._deadlines and self._deadlines[0][0] <= now_s:
            run = self._armed(heapq.heappop(self._deadlines))
            if run is not None:
                overdue.append(run)
        return overdue

    def _armed(self, entry: tuple[float, InvocationId, Epoch, int]) -> Run | None:
        run = self._runs.get(entry[1])
        return run if run is not None and (run.epoch, run.generation) == entry[2:] else None

    def _running(self, run: Run, at_s: float) -> None:
        run.phase = Phase.RUNNING
        self.waiting.discard(run)
        self._start_clock(run, at_s)
