"""What callers send to a control store and what it answers: the shapes of ENGINE 2.4.

Plain values. Times that a client sends are durations; instants (`*_at_us`) are always the store's, in
microseconds since the Unix epoch. Arguments, results and errors are opaque bytes here (see `wire.envelope`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from pynenc.model.gates import Flow, Gate, GateFact
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.status import InvocationStatus, Reason, State

# --- submit ---------------------------------------------------------------------------------------------

NEWEST_FIRST = -1
"""As the key of a submission: the store's own sequence, counted down from the top (last in, first out)."""


class DedupePhase(IntEnum):
    """How long a deduplication key points at the invocation that took it."""

    UNTIL_CLAIMED = 0
    UNTIL_FINAL = 1
    UNTIL_PURGED = 2
    """As long as anything is known of the invocation: idempotency keys."""
    WHILE_GOOD = 3
    """Until it ends otherwise than in SUCCESS, else until purged: cached results."""
    FOR_A_WHILE = 4
    """For `window_us` from its creation on, whatever becomes of the invocation: throttling."""


class DedupeMode(IntEnum):
    """What a submission does when its key is held."""

    REUSE = 0
    """Nothing: it is told of the holder."""
    RAISE = 1
    """The same, but verdict DIFFERENT if the holder has another `arguments_hash`."""
    DEBOUNCE = 2
    """The holder, while it was never claimed, takes its arguments and starts after its delay, counted from now."""


class Dedupe(Struct, frozen=True, array_like=True):
    """A key under which only one invocation is created at a time."""

    key: bytes
    phase: DedupePhase
    mode: DedupeMode = DedupeMode.REUSE
    arguments_hash: bytes = b""
    """For RAISE: equal exactly if all arguments are."""
    window_us: int = 0
    """For FOR_A_WHILE."""


class Fence(Struct, frozen=True, array_like=True):
    """Proof that its bearer still owns an invocation: the session and the epoch of its claim."""

    session: SessionId
    invocation_id: InvocationId
    epoch: Epoch


class AfterPolicy(IntEnum):
    """What the invocations somebody comes after must have ended in: all of them, or `Submission.after_need`."""

    ALL_SUCCEEDED = 0
    """Once too few can still succeed, the one that waits ends CANCELLED (reason `dependency <id> ended <status>`)."""
    ALL_DONE = 1
    """Any ending will do."""
    SUCCEEDED_OR_FAIL = 2
    """As ALL_SUCCEEDED, but the one that waits ends FAILED."""


class Submission(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new invocation."""

    invocation_id: InvocationId
    task_id: str
    arguments: bytes
    queue: str = "default"
    language: str = "python"
    policy: bytes = b""
    """Encoded `RunPolicy`: what runners need to know of the task's options. Opaque to stores."""
    meta: bytes = b""
    """Client context (trace carrier, log context). Opaque to stores."""
    band: int = 128
    """0..255, lower runs first."""
    key: int | None = None
    """Order within the band, 0..2**44-1; None: the store's own sequence (first in, first out); or `NEWEST_FIRST`."""
    delay_us: int = 0
    start_at_us: int | None = None
    """Not begun before this instant, by the store's clock; `delay_us` does not count then."""
    expires_us: int | None = None
    """Ends EXPIRED unless it started within this time (counted from submission)."""
    retention_us: int | None = None
    """How long the outcome is kept after the end; None: for ever."""
    max_crashes: int = 5
    """So many runs may be lost to crashes; the next one ends it FAILED."""
    after: tuple[InvocationId, ...] = ()
    after_policy: AfterPolicy = AfterPolicy.ALL_SUCCEEDED
    after_need: int = 0
    """So many of `after` have to end as `after_policy` wants; 0 means all of them."""
    dedupe: Dedupe | None = None
    parent: Fence | None = None
    """Set when submitted from inside a run: a stale parent submits nothing. Also records parent and root."""
    parent_id: InvocationId | None = None
    """Parent without a fence; ignored when `parent` is set."""
    gates: tuple[Gate, ...] = ()
    """All of them have to be open for a run to begin. Stores without gates refuse anything but ()."""
    flow: Flow | None = None
    """Whose share of the queue it takes; None: it takes part in no sharing. Stores without gates refuse others."""

    def delay_from(self, now_us: int) -> int:
        """Return how long it has to wait from an instant on."""
        return self.delay_us if self.start_at_us is None else max(0, self.start_at_us - now_us)

    @property
    def delay_or_instant(self) -> int:
        """`delay_us`, or below zero the instant `start_at_us`: how stores that are servers are told."""
        return self.delay_us if self.start_at_us is None else -self.start_at_us


class SubmitVerdict(IntEnum):
    CREATED = 0
    EXISTING = 1
    """The id is known already (a repeated submission); nothing changed."""
    DEDUPED = 2
    """Another invocation holds the key: `invocation_id` names it."""
    STALE_PARENT = 3
    """The parent's fence is superseded; nothing was created."""
    UNKNOWN_DEPENDENCY = 4
    """An id in `after` is unknown; `invocation_id` names it; nothing was created."""
    DIFFERENT = 5
    """Another invocation with other arguments holds the key: `invocation_id` names it; nothing was created."""
    DEBOUNCED = 6
    """The holder of the key, which `invocation_id` names, took these arguments and this delay."""


class SubmitReply(Struct, frozen=True, array_like=True):
    verdict: SubmitVerdict
    invocation_id: InvocationId


# --- sessions -------------------------------------------------------------------------------------------


class SessionKind(IntEnum):
    RUNNER = 0
    CLIENT = 1


class SessionInfo(Struct, frozen=True, kw_only=True):
    """What a process tells of itself when it opens a session."""

    kind: SessionKind
    name: str
    """For people: `ThreadRunner@host:pid`. Not an identity."""
    host: str
    pid: int
    queues: tuple[str, ...] = ()
    """Queues it claims from; () means every queue of its language."""
    slots: int = 0
    """Bodies it runs at a time, as things are; an exchange tells when that changes."""
    most_slots: int = 0
    """So many once it has grown as far as it may; 0: it does not grow."""
    language: str = "python"
    code_version: str = ""
    doorbell: str = ""
    """Address at which producers ring; a store that wakes otherwise ignores it."""
    max_parked: int = 0
    """So many of its bodies may wait for others before it claims only what the first of them need; 0: not told."""


class SessionRow(Struct, frozen=True, kw_only=True):
    """A session as queries see it."""

    session: SessionId
    info: SessionInfo
    opened_at_us: int
    expires_at_us: int
    ended_at_us: int | None
    owned: int
    """Invocations it owns in any state."""
    running: int
    """Those that hold a slot: OWNED."""

    @property
    def has_room(self) -> bool:
        """Whether it takes more: a slot is free, or all are used and it grows."""
        slots = self.info.slots
        return self.running < slots or self.running == slots < self.info.most_slots


# --- exchange -------------------------------------------------------------------------------------------


class Success(Struct, frozen=True, kw_only=True, tag="success", omit_defaults=True):
    """The body returned."""

    invocation_id: InvocationId
    epoch: Epoch
    result: bytes
    ran_us: int = 0
    """How long the body ran, for those that were never reported as started."""
    worker: int = 0
    """Which worker of the runner ran it: a process id or a thread number, for people."""


class Failure(Struct, frozen=True, kw_only=True, tag="failure", omit_defaults=True):
    """The body raised, and that is final."""

    invocation_id: InvocationId
    epoch: Epoch
    error: bytes
    reason: str = ""
    ran_us: int = 0
    worker: int = 0


class Retry(Struct, frozen=True, kw_only=True, tag="retry", omit_defaults=True):
    """The attempt failed and another one follows after `delay_us`; the attempt counts."""

    invocation_id: InvocationId
    epoch: Epoch
    error: bytes
    delay_us: int = 0
    reason: Reason = Reason.RETRY
    ran_us: int = 0
    worker: int = 0


class Release(Struct, frozen=True, kw_only=True, tag="release", omit_defaults=True):
    """Handed back unfinished; the attempt does not count."""

    invocation_id: InvocationId
    epoch: Epoch
    delay_us: int = 0
    detail: str = ""
    ran_us: int = 0
    worker: int = 0


class Crash(Struct, frozen=True, kw_only=True, tag="crash", omit_defaults=True):
    """The worker that ran it died. Runs again, or ends FAILED once `max_crashes` is exceeded."""

    invocation_id: InvocationId
    epoch: Epoch
    detail: str = ""
    ran_us: int = 0
    worker: int = 0


class Cancelled(Struct, frozen=True, kw_only=True, tag="cancelled", omit_defaults=True):
    """The body ended itself (`raise Cancel`) or obeyed a request to cancel."""

    invocation_id: InvocationId
    epoch: Epoch
    detail: str = ""
    ran_us: int = 0
    worker: int = 0


class Suspend(Struct, frozen=True, kw_only=True, tag="suspend", omit_defaults=True):
    """The body waits for others. Its session keeps ownership and gives the slot back."""

    invocation_id: InvocationId
    epoch: Epoch
    waits: tuple[InvocationId, ...]
    need: int = 0
    """So many of `waits` must be final before it goes on; 0 means all of them."""
    timeout_us: int | None = None
    """It goes on after this time in any case."""
    inherit: bool = False
    """What it waits for, and what that waits for in turn, goes before it now where nobody runs it yet."""
    ran_us: int = 0
    worker: int = 0


Completion: TypeAlias = Success | Failure | Retry | Release | Crash | Cancelled | Suspend


class Verdict(IntEnum):
    """What a store did with one completion."""

    ACCEPTED = 0
    ALREADY = 1
    """The same (session, epoch) completed it before: a repeated exchange."""
    STALE = 2
    """Superseded: the sender no longer owns it. Nothing changed; the sender drops its run."""
    SATISFIED = 3
    """Suspend only: enough of what it waits for is final already. It stays OWNED and goes on; `outcomes`."""
    WAIT_CYCLE = 4
    """Suspend only: waiting would close a cycle, named in `cycle`. It stays OWNED."""
    UNKNOWN = 5
    """Suspend only: an awaited id is unknown (never submitted, or purged), the first one in `cycle`. It stays OWNED."""


class CompletionReply(Struct, frozen=True, array_like=True):
    verdict: Verdict
    outcomes: tuple[Outcome, ...] = ()
    cycle: tuple[InvocationId, ...] = ()
    """From the waiter over those it would wait for back to itself: first and last are the waiter."""


class Started(Struct, frozen=True, array_like=True):
    """The body of a claimed invocation began."""

    invocation_id: InvocationId
    epoch: Epoch
    worker: int = 0
    ago_us: int = 0
    """How long ago, by the runner's monotonic clock."""


class ProgressNote(Struct, frozen=True, array_like=True):
    """What a running body tells of itself; the last one of an invocation is kept. Fenced."""

    invocation_id: InvocationId
    epoch: Epoch
    body: bytes
    """Encoded progress (done, total, message) and heartbeat details. Opaque to stores."""


class Exchange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One round trip of a session: renew it, settle, report, run a little `tick`, claim, fetch messages.

    Applied in that order, as one atomic unit. With nothing set it is a heartbeat.
    """

    session: SessionId
    completions: tuple[Completion, ...] = ()
    started: tuple[Started, ...] = ()
    progress: tuple[ProgressNote, ...] = ()
    want: int = 0
    """Most invocations to return, resumed and new ones together; resumed ones first."""
    queues: tuple[str, ...] = ()
    """Queues to claim new work from, () for every queue of `language`; order among them is by rank."""
    language: str = "python"
    claim_new: bool = True
    """False: only resume (a draining runner)."""
    before: int | None = None
    """Claim only new work of a lower rank than this; None: any."""
    awaited: bool = False
    """Claim only new work that somebody waits for or comes after, and children."""
    idle: bool = False
    """Register for the doorbell if fewer than `want` were found."""
    tick_budget: int = 32
    """Most timers, expired sessions and retained outcomes to handle on the way."""
    info: SessionInfo | None = None
    """What the session tells of itself from now on, if that changed: `slots`; the rest as when it opened."""


class Claim(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An invocation handed to a session, with all a runner needs."""

    invocation_id: InvocationId
    session: SessionId
    epoch: Epoch
    attempt: int
    """1 for the first counted run."""
    crashes: int
    task_id: str
    arguments: bytes
    policy: bytes
    meta: bytes
    queue: str
    rank: int
    parent_id: InvocationId | None = None
    root_id: InvocationId | None = None
    cancel_requested: bool = False


class Resumed(Struct, frozen=True, kw_only=True):
    """A suspended invocation that may go on: same session, same epoch."""

    invocation_id: InvocationId
    epoch: Epoch
    timed_out: bool
    outcomes: tuple[Outcome, ...]
    """Of those it waited for that are final, in the order of `waits`."""


class CancelNotice(Struct, frozen=True, kw_only=True, tag="cancel"):
    """To the owner: stop this run."""

    invocation_id: InvocationId
    epoch: Epoch
    detail: str


class FinishedNotice(Struct, frozen=True, kw_only=True, tag="finished"):
    """To a watcher: this invocation is final."""

    outcome: Outcome


Message: TypeAlias = CancelNotice | FinishedNotice


class ExchangeReply(Struct, frozen=True, kw_only=True):
    verdicts: tuple[CompletionReply, ...] = ()
    """One per completion, in order."""
    claims: tuple[Claim, ...] = ()
    resumed: tuple[Resumed, ...] = ()
    inbox: tuple[Message, ...] = ()
    next_due_us: int | None = None
    """How long until the earliest timer of the app, 0 if overdue; None without timers."""
    more: bool = False
    """A budget ran out (of the tick, or of looks at closed gates): call again soon."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How an invocation ended; written once, never changed."""

    invocation_id: InvocationId
    status: InvocationStatus
    payload: bytes
    """The result (SUCCESS) or the error (FAILED, if a body raised it); else empty."""
    reason: str
    """For people, where no error tells: who cancelled, why it expired, what crashed it."""
    attempt: int
    crashes: int
    epoch: Epoch
    session: SessionId
    """Who completed it; 0 if the store itself did."""
    worker: int
    registered_at_us: int
    claimed_at_us: int | None
    started_at_us: int | None
    ended_at_us: int
    expires_at_us: int | None


class ClaimIdVerdict(IntEnum):
    CLAIMED = 0
    BUSY = 1
    NOT_READY = 2
    FINAL = 3
    UNKNOWN = 4


class ClaimIdReply(Struct, frozen=True, array_like=True):
    verdict: ClaimIdVerdict
    claim: Claim | None = None


class Owned(Struct, frozen=True, array_like=True):
    """One invocation a session owns, as `list_owned` tells after a broken connection."""

    invocation_id: InvocationId
    epoch: Epoch
    state: State
    """OWNED, SUSPENDED, or READY (resumable)."""
    cancel_requested: bool = False


# --- the rest -------------------------------------------------------------------------------------------


class CancelVerdict(IntEnum):
    CANCELLED = 0
    """Final now."""
    REQUESTED = 1
    """Running: its owner was told."""
    FINAL = 2
    """Had ended before."""
    UNKNOWN = 3


class CancelReply(Struct, frozen=True, array_like=True):
    invocation_id: InvocationId
    verdict: CancelVerdict


class WatchReply(Struct, frozen=True, kw_only=True):
    outcomes: tuple[Outcome, ...]
    """Of those that are final already; the others arrive in the session's inbox."""
    unknown: tuple[InvocationId, ...]


UNNAMED_MARGIN_US = 86_400_000_000
"""Client data and ended sessions go once they were last written, or ended, so long before the hour in which the oldest
known invocation was submitted: data comes before the call that names it, and a long `parallelize` writes what its
calls share once."""
HOUR_US = 3_600_000_000


def unnamed_before_us(oldest_us: int | None, now_us: int) -> int:
    """Return the instant before which everything can go that no known invocation names.

    Args:
        oldest_us: when the oldest known invocation was submitted; None: there is none.
    """
    return (now_us if oldest_us is None else oldest_us // HOUR_US * HOUR_US) - UNNAMED_MARGIN_US


class TickReply(Struct, frozen=True, kw_only=True):
    handled: int
    next_due_us: int | None
    more: bool


class Call(Struct, frozen=True, kw_only=True):
    """The immutable part of an invocation."""

    invocation_id: InvocationId
    task_id: str
    queue: str
    language: str
    arguments: bytes
    policy: bytes
    meta: bytes
    parent_id: InvocationId | None
    root_id: InvocationId
    created_at_us: int
    gates: tuple[Gate, ...] = ()
    """By name."""
    flow: Flow | None = None


class Control(Struct, frozen=True, kw_only=True):
    """The live part of an invocation that is not final."""

    state: State
    reason: Reason
    rank: int
    epoch: Epoch
    attempt: int
    """Counted runs begun so far: +1 at a claim, -1 when a run is handed back or lost."""
    crashes: int
    owner: SessionId | None
    worker: int
    need_left: int
    """How many of those it waits for must still end before it is runnable again."""
    not_before_us: int | None
    expires_at_us: int | None
    wait_until_us: int | None
    cancel_requested: bool
    registered_at_us: int
    claimed_at_us: int | None
    started_at_us: int | None
    suspended_at_us: int | None
    gate: str | None = None
    """READY only: the name of the closed gate before which it, or its lane, is parked."""


class Attempt(Struct, frozen=True, kw_only=True):
    """A stretch of an invocation's life that did not end in its outcome."""

    number: int
    epoch: Epoch
    reason: Reason
    session: SessionId
    worker: int
    claimed_at_us: int
    started_at_us: int | None
    ended_at_us: int
    error: bytes
    detail: str
    suspended_at_us: int | None = None
    """Only of a wait (reason WAITED): when it began; it ended at `ended_at_us`."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """All that is known of one invocation: `control` or `outcome` is set, never both."""

    call: Call
    control: Control | None
    outcome: Outcome | None
    attempts: tuple[Attempt, ...]
    progress: bytes
    """The last progress note, b"" if there was none."""


class Pause(Struct, frozen=True, kw_only=True):
    """That a queue gives no new work, and why."""

    queue: str
    by: str
    """Who paused it: `user@host`, or what was given."""
    reason: str
    at_us: int


class Standing(Struct, frozen=True, kw_only=True):
    """The facts that decide whether one invocation runs, gathered in one consistent read (`explain`)."""

    snapshot: Snapshot
    now_us: int
    pause: Pause | None
    """Of its queue."""
    listeners: tuple[SessionRow, ...]
    """Live runner sessions that claim from its queue."""
    owner: SessionRow | None
    ahead: int
    """READY invocations of its queue that would be claimed before it (counting stops at 10,000)."""
    waits: tuple[Awaited, ...]
    """What it waits for or comes after and is not final yet (at most 20)."""
    waits_total: int
    gates: tuple[GateFact, ...] = ()
    """How each of its gates stands, by name. Slots that it holds itself are open to it."""


class Awaited(Struct, frozen=True, kw_only=True):
    invocation_id: InvocationId
    task_id: str
    status: InvocationStatus


class Violation(Struct, frozen=True, array_like=True):
    """A broken structural invariant (I1-I8), found by `verify`."""

    invariant: str
    invocation_id: InvocationId | None
    detail: str


class ListFilter(Struct, frozen=True, kw_only=True):
    """Which invocations a listing returns; unset fields match everything."""

    statuses: tuple[InvocationStatus, ...] = ()
    task_id: str | None = None
    queue: str | None = None
    parent_id: InvocationId | None = None
    before: InvocationId | None = None
    """Only ids below this one: the cursor, newest first."""
    limit: int = 50


class DeadMark(Struct, frozen=True, array_like=True, order=True):
    """A place in the order of dead letters, newest ending first."""

    ended_at_us: int
    invocation_id: InvocationId


class DeadFilter(Struct, frozen=True, kw_only=True):
    """Which dead letters a page returns: work that ended in one of `DEAD_STATUSES`; unset fields match everything."""

    statuses: tuple[InvocationStatus, ...] = (InvocationStatus.FAILED,)
    queue: str | None = None
    task_id: str | None = None
    ended_before_us: int | None = None
    ended_since_us: int | None = None
    before: DeadMark | None = None
    """Only those behind this mark: where the page before ended."""
    budget: int = 500
    """Most dead letters, of the queue if one is named, that are looked at for this page."""

    def bounds(self) -> tuple[DeadMark, int]:
        """Return the mark below which and the instant from which on a page looks."""
        upper = DeadMark(2**62 if self.ended_before_us is None else self.ended_before_us, InvocationId(b""))
        return (upper if self.before is None else min(upper, self.before)), self.ended_since_us or 0

    def takes(self, status: InvocationStatus, task_id: str) -> bool:
        """Whether a dead letter that was looked at belongs to the page."""
        return status in self.statuses and self.task_id in (None, task_id)


class DeadPage(Struct, frozen=True, kw_only=True):
    found: tuple[Snapshot, ...]
    """Newest ending first."""
    before: DeadMark | None
    """Where to go on; None: there is nothing more."""


def dead_mark(looked_at: Sequence[DeadMark], budget: int) -> DeadMark | None:
    """Return where to go on behind a page that looked at these, in order."""
    return looked_at[-1] if looked_at and len(looked_at) >= budget else None


class QueueStats(Struct, frozen=True, kw_only=True):
    queue: str
    ready: int
    """Without those that are parked before a closed gate."""
    delayed: int
    """BLOCKED: before their time or after others."""
    running: int
    suspended: int
    oldest_ready_at_us: int | None
    pause: Pause | None
    listeners: int
    blocked: int = 0
    """READY, but parked before a closed gate."""

    @property
    def paused(self) -> bool:
        return self.pause is not None
