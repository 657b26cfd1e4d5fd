"""A workload played on a store with some slots and a scheduler: who begins when.

Used to see what another order would have done with recorded work, and to draw what each scheduler does.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median_low

from msgspec import Struct

from pynenc.io import run
from pynenc.model.gates import Flow
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT
from pynenc.model.records import Claim, Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.scheduling.ranks import checked_rank

_FOR_EVER_US = 10**15


class Work(Struct, frozen=True, kw_only=True):
    """One call of a workload."""

    task_id: str
    at_us: int
    """When it is submitted; a workload is ordered by this."""
    ran_us: int
    queue: str = "default"
    priority: float = 0.0
    deadline_us: int | None = None
    after: tuple[int, ...] = ()
    """Places in the workload of what it comes after."""
    parent: int | None = None
    """Place in the workload of the run that submits it."""


class Begun(Struct, frozen=True):
    """What became of one `Work`."""

    work: Work
    at_us: int
    slot: int

    @property
    def waited_us(self) -> int:
        return self.at_us - self.work.at_us


class ReplayClock:
    """The time of the store on which a workload is played."""

    def __init__(self) -> None:
        self.now_us = 0

    def __call__(self) -> int:
        return self.now_us


def replay(
    workload: Sequence[Work], scheduler: Scheduler, backend: Backend, clock: ReplayClock, *, slots: int
) -> list[Begun]:
    """Play `workload` on an empty store that lives by `clock`; return it in the order in which it began.

    Work is submitted when it was and runs for as long as it did. Run times are known to the scheduler as the medians of
    the tasks.
    """
    return _Player(workload, scheduler, backend, clock, slots).play()


class _Player:
    def __init__(
        self, workload: Sequence[Work], scheduler: Scheduler, backend: Backend, clock: ReplayClock, slots: int
    ) -> None:
        self._workload = workload
        self._scheduler = scheduler
        self._orchestrator = backend.orchestrator
        self._clock = clock
        self._usual_us = _medians(workload) if scheduler.wants_run_times else {}
        self._ranks: dict[int, Rank] = {}
        self._free = list(range(slots))
        self._running: list[tuple[int, int, Claim]] = []
        """When a run ends, its slot, and what it is: a heap."""
        info = SessionInfo(kind=SessionKind.RUNNER, name="replay", host="", pid=0, slots=slots)
        self._session = run(self._orchestrator.open_session(info, lease_us=_FOR_EVER_US))

    def play(self) -> list[Begun]:
        begun: list[Begun] = []
        coming = 0
        while coming < len(self._workload) or self._running:
            arrives = self._workload[coming].at_us if coming < len(self._workload) else None
            ends = self._running[0][0] if self._running else None
            self._clock.now_us = min(moment for moment in (arrives, ends) if moment is not None)
            first = coming
            while coming < len(self._workload) and self._workload[coming].at_us <= self._clock.now_us:
                coming += 1
            run(self._orchestrator.submit([self._submission(place) for place in range(first, coming)]))
            begun += self._exchange()
        return begun

    def _exchange(self) -> Iterable[Begun]:
        """Settle what ends now and begin what there are slots for."""
        done = []
        while self._running and self._running[0][0] <= self._clock.now_us:
            _, slot, claim = heapq.heappop(self._running)
            done.append(Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b""))
            heapq.heappush(self._free, slot)
        request = Exchange(session=self._session, completions=tuple(done), want=len(self._free))
        for claim in run(self._orchestrator.exchange(request)).claims:
            work = self._workload[int.from_bytes(claim.invocation_id, "big")]
            slot = heapq.heappop(self._free)
            heapq.heappush(self._running, (self._clock.now_us + work.ran_us, slot, claim))
            yield Begun(work, self._clock.now_us, slot)

    def _submission(self, place: int) -> Submission:
        work = self._workload[place]
        context = RankContext(
            task_id=work.task_id,
            queue=work.queue,
            now_us=work.at_us,
            priority=work.priority,
            deadline_us=work.deadline_us,
            run_time_us=self._usual_us.get(work.task_id),
            follows=bool(work.after),
            parent_rank=self._rank_of(work.parent),
        )
        rank = self._ranks[place] = checked_rank(self._scheduler, context)
        return Submission(
            invocation_id=_id_of(place),
            task_id=work.task_id,
            arguments=b"",
            queue=work.queue,
            band=rank.band,
            key=rank.key,
            after=tuple(_id_of(each) for each in work.after),
            flow=Flow(work.task_id) if self._scheduler.shares(work.queue) else None,
        )

    def _rank_of(self, parent: int | None) -> int | None:
        """Return the rank of a submission that was made before; one that only the store knows counts as its place."""
        if parent is None:
            return None
        rank = self._ranks[parent]
        known = rank.key is not None and rank.key >= 0
        return rank.band * BAND_UNIT + (rank.key or 0 if known else parent)


def _id_of(place: int) -> InvocationId:
    return InvocationId(place.to_bytes(16, "big"))


def _medians(workload: Iterable[Work]) -> dict[str, int]:
    samples: dict[str, list[int]] = defaultdict(list)
    for work in workload:
        samples[work.task_id].append(work.ran_us)
    return {task_id: median_low(each) for task_id, each in samples.items()}
