"""The store of a runner, with middleware told of what passes: claims, starts, ends, submissions of worker processes.

It stands in front of the real store, so the control loop knows nothing of middleware, and a runner without any has
none of this. What a claim was for is remembered until its end is settled, because completions carry only ids.

States of a run here: in hand -> (started) -> settled or superseded; suspended in between. What makes each good:
* a lost reply: nothing is forgotten; the same starts and ends are told again, with `error` until one is answered.
* ALREADY: the reply that was lost had accepted it; it counts as accepted now, once.
* STALE, a lost session, a reconciliation that no longer lists a run, the cancellation of a suspended one: forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pynenc.io import Op
from pynenc.middleware.base import Middleware
from pynenc.middleware.events import (
    ClaimedRun,
    ClaimEvent,
    EndedRun,
    Ending,
    Event,
    RelayedCall,
    RelayEvent,
    SettleEvent,
    ending_of,
)
from pynenc.middleware.registry import Hooks
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelNotice,
    Claim,
    ClaimIdReply,
    Completion,
    Exchange,
    ExchangeReply,
    Owned,
    SessionInfo,
    Started,
    Submission,
    SubmitReply,
    SubmitVerdict,
    Suspend,
    Verdict,
)
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.passing import PassingOrchestrator

_RAN = (Ending.SUCCESS, Ending.FAILED, Ending.RETRY, Ending.CRASHED)
"""Endings that tell that the body began, also where nobody reported it."""


def told(store: Orchestrator, hooks: Hooks, app_id: str, clock: Callable[[], float] = time.monotonic) -> Orchestrator:
    """Return the store as a runner should use it: itself, if no middleware wants to be told."""
    return ToldStore(store, hooks, app_id, clock) if hooks.claim or hooks.settle or hooks.relay else store


class HeldRun(ClaimedRun):
    """A run in the hands of this runner."""

    __slots__ = ("started",)

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim)
        self.started = False


class Telling(NamedTuple):
    """What one exchange tells of runs in hand."""

    event: SettleEvent | None
    """None if it tells of no start and no end."""
    ends: dict[int, EndedRun]
    """By their place among the completions."""
    started: tuple[HeldRun, ...]


class ToldStore(PassingOrchestrator):
    """Calls the hooks around claims and ends, in the thread of the control loop."""

    def __init__(self, inner: Orchestrator, hooks: Hooks, app_id: str, clock: Callable[[], float]) -> None:
        super().__init__(inner)
        self._hooks = hooks
        self._app_id = app_id
        self._clock = clock
        self._runner = ""
        self._slots = 0
        self._held: dict[InvocationId, HeldRun] = {}
        self._suspended: set[InvocationId] = set()
        self._unanswered: set[InvocationId] = set()
        """Runs whose end was sent without an answer: the store may have taken it, and no longer list the run."""

    # --- the session ---

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        session = yield from self._inner.open_session(info, lease_us=lease_us)
        self._runner, self._slots = info.name, info.slots
        for kept in (self._held, self._suspended, self._unanswered):
            kept.clear()
        return session

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        owned = yield from self._inner.list_owned(session)
        still = self._unanswered.union(each.invocation_id for each in owned)
        for invocation_id in [each for each in self._held if each not in still]:
            self._forget(invocation_id)
        return owned

    # --- exchanging ---

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        if request.info is not None:
            self._slots = request.info.slots
        settle, ends, started = self._telling(request)
        claim = self._claim_event(request.queues, request.want)
        settling = self._enter(self._hooks.settle, "before_settle", settle) if settle is not None else []
        claiming = self._enter(self._hooks.claim, "before_claim", claim)
        began_s = self._clock()
        try:
            reply = yield from self._inner.exchange(request)
        except Exception as error:
            claim.took_s = self._clock() - began_s
            claim.error = error
            self._unanswered.update(request.completions[place].invocation_id for place in ends)
            self._leave(claiming, "after_claim", claim)
            if settle is not None:
                settle.took_s, settle.error = claim.took_s, error
                self._leave(settling, "after_settle", settle)
            raise
        claim.took_s = self._clock() - began_s
        for held in started:
            held.started = True
        self._account(request, reply, ends)
        self._take(claim, reply.claims)
        self._leave(claiming, "after_claim", claim)
        if settle is not None:
            settle.took_s = claim.took_s
            self._leave(settling, "after_settle", settle)
        return reply

    def _telling(self, request: Exchange) -> Telling:
        """Return what an exchange tells of starts and ends."""
        ends: dict[int, EndedRun] = {}
        started: dict[InvocationId, HeldRun] = {}
        for report in request.started:
            held = self._of(report)
            if held is not None and not held.started:
                started[report.invocation_id] = held
        for place, completion in enumerate(request.completions):
            held = self._of(completion)
            if held is None:
                continue
            ending = ending_of(completion)
            if not held.started and (ending is None or ending in _RAN or completion.ran_us):
                started[completion.invocation_id] = held
            if ending is not None:
                ends[place] = EndedRun(held, ending, completion)
        runs = tuple(started.values())
        if not ends and not runs:
            return Telling(None, ends, runs)
        event = SettleEvent(app_id=self._app_id, runner=self._runner, started=runs, ends=tuple(ends.values()))
        return Telling(event, ends, runs)

    def _of(self, item: Started | Completion) -> HeldRun | None:
        """Return the run in hand that a report or a completion is about."""
        held = self._held.get(item.invocation_id)
        return held if held is not None and held.epoch == item.epoch else None

    def _account(self, request: Exchange, reply: ExchangeReply, ends: dict[int, EndedRun]) -> None:
        """Note what became of completions, and forget what is out of this runner's hands."""
        for place, (completion, answer) in enumerate(zip(request.completions, reply.verdicts, strict=True)):
            self._answered(completion, answer.verdict, ends.get(place))
        self._suspended.difference_update(resumed.invocation_id for resumed in reply.resumed)
        for message in reply.inbox:
            if isinstance(message, CancelNotice) and message.invocation_id in self._suspended:
                # The store has ended it; only its stack is left.
                self._forget(message.invocation_id)

    def _answered(self, completion: Completion, verdict: Verdict, end: EndedRun | None) -> None:
        if self._of(completion) is None:
            return
        if isinstance(completion, Suspend) and verdict is not Verdict.STALE:
            if verdict in (Verdict.ACCEPTED, Verdict.ALREADY):
                self._suspended.add(completion.invocation_id)
            return
        if end is not None:
            end.accepted = verdict is not Verdict.STALE
        self._forget(completion.invocation_id)

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        event = self._claim_event(tuple(queues), len(ids) if most is None else most)
        claiming = self._enter(self._hooks.claim, "before_claim", event)
        began_s = self._clock()
        try:
            replies = yield from self._inner.claim_ids(session, ids, queues=queues, most=most)
        except Exception as error:
            event.took_s, event.error = self._clock() - began_s, error
            self._leave(claiming, "after_claim", event)
            raise
        event.took_s = self._clock() - began_s
        self._take(event, [reply.claim for reply in replies if reply.claim is not None])
        self._leave(claiming, "after_claim", event)
        return replies

    def _claim_event(self, queues: tuple[str, ...], wanted: int) -> ClaimEvent:
        return ClaimEvent(app_id=self._app_id, runner=self._runner, slots=self._slots, queues=queues, wanted=wanted)

    def _take(self, event: ClaimEvent, claims: Sequence[Claim]) -> None:
        runs = tuple(map(HeldRun, claims))
        for claim, held in zip(claims, runs, strict=True):
            self._held[claim.invocation_id] = held
        event.runs = runs
        event.in_hand, event.waiting = len(self._held), len(self._suspended)

    def _forget(self, invocation_id: InvocationId) -> None:
        del self._held[invocation_id]
        self._suspended.discard(invocation_id)
        self._unanswered.discard(invocation_id)

    # --- submissions of worker processes ---

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        began_s = self._clock()
        replies = yield from self._inner.submit(items)
        if self._hooks.relay:
            calls = tuple(
                RelayedCall(item.task_id, item.queue, reply.verdict is not SubmitVerdict.CREATED)
                for item, reply in zip(items, replies, strict=True)
            )
            self._leave(
                list(self._hooks.relay),
                "after_relay",
                RelayEvent(self._app_id, self._runner, calls, self._clock() - began_s),
            )
        return replies

    # --- hooks ---

    def _enter(self, middleware: Sequence[Middleware], name: str, event: Event) -> list[Middleware]:
        return [each for each in middleware if self._hooks.call(each, name, event)]

    def _leave(self, entered: Sequence[Middleware], name: str, event: Event) -> None:
        for each in reversed(entered):
            self._hooks.call(each, name, event)
