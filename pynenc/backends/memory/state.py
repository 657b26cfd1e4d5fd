"""What the memory store keeps: records first, indexes derived from them.

Every operation is a function of (state, request, now) in its own module; nothing here reads a clock.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from pynenc.backends.memory.gating import Gating
from pynenc.backends.memory.lanes import Lane, Lenders
from pynenc.backends.memory.ordered import Order
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.ranks import BAND_UNIT
from pynenc.model.records import (
    AfterPolicy,
    Attempt,
    Call,
    CancelNotice,
    Claim,
    DeadMark,
    Dedupe,
    FinishedNotice,
    Outcome,
    Pause,
    SessionInfo,
)
from pynenc.model.status import DEAD_STATUSES, Reason, State

FIRST_SEQUENCE = 2**20


@dataclass(slots=True)
class Record:
    """The control record of one live invocation."""

    call: Call
    rank: int
    registered_at_us: int
    retention_us: int | None
    max_crashes: int
    state: State = State.READY
    reason: Reason = Reason.NEW
    epoch: Epoch = Epoch(0)  # noqa: RUF009 - a plain number
    attempt: int = 0
    crashes: int = 0
    owner: SessionId | None = None
    worker: int = 0
    not_before_us: int | None = None
    expires_at_us: int | None = None
    wait_until_us: int | None = None
    claimed_at_us: int | None = None
    started_at_us: int | None = None
    suspended_at_us: int | None = None
    cancel_requested: bool = False
    dedupe: Dedupe | None = None
    waits: tuple[InvocationId, ...] = ()
    """What the last `Suspend` named, in its order."""
    edges: set[InvocationId] = field(default_factory=set)
    """Those of them, or of `after`, that are not final yet."""
    need_left: int = 0
    after_policy: AfterPolicy = AfterPolicy.ALL_SUCCEEDED
    timed_out: bool = False
    gated: bool = False
    """Whether it is queued in a lane: it has gates or a flow."""
    lane: Lane | None = None
    """READY without an owner, and gated: where it is queued."""
    parked: str | None = None
    """Resumable: the gate before which its token waits."""
    trial: str | None = None
    """Resumable: the gate of which a unit is kept for it."""
    lenders: Lenders = ()
    """Parked and resumable: on whose units it could go on."""

    @property
    def id(self) -> InvocationId:
        return self.call.invocation_id

    @property
    def gate(self) -> str | None:
        """The gate before which it, or its lane, is parked."""
        return self.parked if self.lane is None else self.lane.parked

    @property
    def band(self) -> int:
        return self.rank // BAND_UNIT

    @property
    def due_us(self) -> int | None:
        """When a timer has to look at it next."""
        moments: list[int] = []
        if self.state is State.BLOCKED and self.need_left == 0 and self.not_before_us is not None:
            moments.append(self.not_before_us)
        if self.expires_at_us is not None and self.waits_for_a_claim:
            moments.append(self.expires_at_us)
        if self.state is State.SUSPENDED and self.wait_until_us is not None:
            moments.append(self.wait_until_us)
        return min(moments, default=None)

    @property
    def waits_for_a_claim(self) -> bool:
        """Whether it is BLOCKED, or READY in the index of its queue."""
        return self.state is State.BLOCKED or (self.state is State.READY and self.owner is None)


@dataclass(slots=True)
class Session:
    """One incarnation of a runner or client process."""

    number: SessionId
    info: SessionInfo
    lease_us: int
    opened_at_us: int
    expires_at_us: int
    ended_at_us: int | None = None
    idle: bool = False
    idle_queues: tuple[str, ...] = ()
    owned: set[InvocationId] = field(default_factory=set)
    watched: set[InvocationId] = field(default_factory=set)
    inbox: list[CancelNotice | FinishedNotice] = field(default_factory=list)


class TokenIndex:
    """Ids by rank; entries that no longer hold are dropped when they come up."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, InvocationId]] = []

    def add(self, order: int, invocation_id: InvocationId) -> None:
        heapq.heappush(self._heap, (order, invocation_id))

    def first(self) -> tuple[int, InvocationId] | None:
        """Return the first entry, valid or not."""
        return self._heap[0] if self._heap else None

    def drop_first(self) -> None:
        heapq.heappop(self._heap)

    def __iter__(self) -> Iterator[tuple[int, InvocationId]]:
        return iter(self._heap)

    def clear(self) -> None:
        self._heap.clear()


class MemoryState:
    """Records, sessions and the indexes that follow from them."""

    def __init__(self) -> None:
        self.calls: dict[InvocationId, Call] = {}
        self.records: dict[InvocationId, Record] = {}
        self.outcomes: dict[InvocationId, Outcome] = {}
        self.kept: dict[InvocationId, Kept] = {}
        self.attempts: dict[InvocationId, list[Attempt]] = {}
        self.progress: dict[InvocationId, bytes] = {}
        self.children: dict[InvocationId, set[InvocationId]] = {}
        self.sessions: dict[SessionId, Session] = {}
        self.dedupe: dict[bytes, InvocationId] = {}
        self.watchers: dict[InvocationId, set[SessionId]] = {}
        self.waiters: dict[InvocationId, set[InvocationId]] = {}
        self.paused: dict[str, Pause] = {}
        self.queues: set[str] = set()
        self.blobs: dict[bytes, tuple[bytes, int]] = {}
        self.ready: dict[str, TokenIndex] = {}
        self.resumable: dict[SessionId, TokenIndex] = {}
        self.gating = Gating(self)
        self.due = TokenIndex()
        self.retention = TokenIndex()
        self.dead: dict[str | None, list[DeadMark]] = {None: []}
        """What ended dead, oldest ending first: of each queue, and of all (None)."""
        self.next_sequence = FIRST_SEQUENCE
        self.last_session = 0
        self.seal = ""
        """Set while and after everything is moved to another store; see `pynenc.ports.transfer`."""
        self.to_ring: list[str] = []
        """Doorbells to ring once the operation is over."""

    # --- indexes ---

    def index(self, record: Record, now_us: int) -> None:
        """Put a record into the indexes its state calls for."""
        if record.state is State.READY:
            queue = record.call.queue
            if record.owner is not None:
                self.put_resumable(record)
            elif not record.gated:
                self.ready.setdefault(queue, TokenIndex()).add(record.rank, record.id)
                self.wake_for(queue)
            elif self.gating.enter(record, now_us):
                self.wake_for(queue)
        due = record.due_us
        if due is not None:
            first_us = self.first_due_us()
            self.due.add(due, record.id)
            if first_us is None or due < first_us:
                self.wake_for(None)

    def put_ready(self, queue: str, order: Order) -> None:
        """Let a token be found by claims from a queue."""
        self.ready.setdefault(queue, TokenIndex()).add(*order)

    def put_resumable(self, record: Record) -> None:
        """Let a resumable invocation be found by its owner, and ring for it."""
        assert record.owner is not None
        self.resumable.setdefault(record.owner, TokenIndex()).add(record.rank, record.id)
        self.ring(record.owner)

    def first_ready(self, queue: str) -> Order | None:
        """Return the token of a queue that comes first; a flow's comes under its tag instead of its rank."""
        index = self.ready.get(queue)
        first = None if index is None else self._first_valid(index, None)
        lanes = self.gating.lanes
        fair = lanes.first_fair(queue) if lanes.fair else None
        return first if fair is None else fair if first is None else min(first, fair)

    def first_resumable(self, session: SessionId) -> tuple[int, InvocationId] | None:
        """Return the resumable invocation of a session that comes first."""
        index = self.resumable.get(session)
        return None if index is None else self._first_valid(index, session)

    def _first_valid(self, index: TokenIndex, owner: SessionId | None) -> tuple[int, InvocationId] | None:
        while (entry := index.first()) is not None:
            record = self.records.get(entry[1])
            if record and record.state is State.READY and record.owner == owner and self._is_token(record, entry):
                return entry
            index.drop_first()
        return None

    def _is_token(self, record: Record, entry: Order) -> bool:
        if record.lane is not None:
            return self.gating.lanes.holds(record.lane, entry)
        return record.rank == entry[0] and record.parked is None

    def first_due_us(self) -> int | None:
        """Return when a timer, of an invocation or of a gate, comes first."""
        first, gate = self.first_due(), self.gating.timers.first_order()
        moments = [entry[0] for entry in (first, gate) if entry is not None]
        return min(moments, default=None)

    def first_due(self) -> tuple[int, InvocationId] | None:
        """Return the invocation whose timer comes first."""
        while (entry := self.due.first()) is not None:
            record = self.records.get(entry[1])
            if record and record.due_us == entry[0]:
                return entry
            self.due.drop_first()
        return None

    def first_expired_outcome(self) -> tuple[int, InvocationId] | None:
        """Return the outcome whose retention ends first."""
        while (entry := self.retention.first()) is not None:
            outcome = self.outcomes.get(entry[1])
            if outcome and outcome.expires_at_us == entry[0]:
                return entry
            self.retention.drop_first()
        return None

    # --- endings ---

    def keep_outcome(self, outcome: Outcome, kept: Kept) -> None:
        """Write an outcome and put it into the indexes that it calls for."""
        self.outcomes[outcome.invocation_id] = outcome
        self.kept[outcome.invocation_id] = kept
        if outcome.expires_at_us is not None:
            self.retention.add(outcome.expires_at_us, outcome.invocation_id)
        if outcome.status in DEAD_STATUSES:
            for queue in (None, self.calls[outcome.invocation_id].queue):
                insort(self.dead.setdefault(queue, []), _mark(outcome))

    def drop_outcome(self, invocation_id: InvocationId) -> tuple[Outcome, Kept]:
        """Take an outcome away, out of the index of the dead, too; the other one forgets it by itself."""
        outcome = self.outcomes.pop(invocation_id)
        if outcome.status in DEAD_STATUSES:
            for queue in (None, self.calls[invocation_id].queue):
                marks = self.dead[queue]
                del marks[bisect_left(marks, _mark(outcome))]
        return outcome, self.kept.pop(invocation_id)

    def take_sequence(self) -> int:
        sequence = self.next_sequence
        self.next_sequence += 1
        return sequence

    # --- waking ---

    def ring(self, number: SessionId) -> None:
        session = self.sessions.get(number)
        if session is not None and session.ended_at_us is None and session.info.doorbell:
            self.to_ring.append(session.info.doorbell)

    def wake_for(self, queue: str | None) -> None:
        """Wake one sleeping session that serves `queue`, or any one for a timer (None)."""
        for session in self.sessions.values():
            if session.idle and (queue is None or serves(session.idle_queues, queue)):
                session.idle = False
                self.ring(session.number)
                return


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a control record outlives its end: needed to put the invocation back."""

    band: int
    retention_us: int | None
    max_crashes: int
    dedupe: Dedupe | None


def _mark(outcome: Outcome) -> DeadMark:
    return DeadMark(outcome.ended_at_us, outcome.invocation_id)


def serves(queues: tuple[str, ...], queue: str) -> bool:
    """Whether a session that listens on `queues` claims from `queue`."""
    return queue in queues if queues else ":" not in queue


def is_gated(call: Call) -> bool:
    """Whether invocations with this call are queued in lanes."""
    return bool(call.gates) or call.flow is not None


def claim_of(record: Record, session: SessionId) -> Claim:
    """Return what the owner of a freshly claimed record gets."""
    call = record.call
    return Claim(
        invocation_id=call.invocation_id,
        session=session,
        epoch=record.epoch,
        attempt=record.attempt,
        crashes=record.crashes,
        task_id=call.task_id,
        arguments=call.arguments,
        policy=call.policy,
        meta=call.meta,
        queue=call.queue,
        rank=record.rank,
        parent_id=call.parent_id,
        root_id=call.root_id,
        cancel_requested=record.cancel_requested,
    )
