"""The history sorted by invocation and session: what the checks look things up in."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec import Struct

from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import (
    Attempt,
    CancelNotice,
    CancelVerdict,
    Claim,
    ClaimIdVerdict,
    Completion,
    Exchange,
    ExchangeReply,
    FinishedNotice,
    Outcome,
    Resumed,
    Submission,
    SubmitVerdict,
    Suspend,
    Verdict,
)
from pynenc.model.status import Reason
from pynenc.testing.simulation.history import Applied, Evidence


class Mark(Struct, frozen=True):
    """One fact of the history: its place in the order of application, when, by whom, and what."""

    index: int
    at_us: int
    session: SessionId
    what: Any


class Life(Struct):
    """What happened to one invocation."""

    created: Mark | None = None
    """Its `Submission`; None if its creation was not observed."""
    claims: list[Mark] = []
    """`Claim`s that were handed out, known to their session or not."""
    accepted: list[Mark] = []
    """`Completion`s that were accepted."""
    resumed: list[Mark] = []
    refused_waits: list[Mark] = []
    """Pairs of a `Suspend` and a `CompletionReply` that let it go on."""
    cancel_requests: list[Mark] = []
    """`CancelVerdict`s it got."""
    cancel_notices: list[Mark] = []
    outcome: Outcome | None = None
    attempts: tuple[Attempt, ...] = ()
    sent: list[Completion] = []
    """What its executions handed to their runners."""

    def ends(self, epoch: Epoch) -> list[Attempt]:
        """Return the rows that end a claim (not those of waits)."""
        return [row for row in self.attempts if row.epoch == epoch and row.reason is not Reason.WAITED]


class SessionLife(Struct):
    """What happened to one session."""

    opened_us: int = 0
    lease_us: int = 0
    renewed: list[Mark] = []
    """Operations that renewed it."""
    fetched: list[Mark] = []
    """Exchanges: those that hand out its messages."""
    watching: dict[InvocationId, Mark] = {}
    """Registrations that were not answered by a notice yet."""


class Ledger:
    """Everything known of each invocation and session.

    Args:
        evidence: see `Evidence`.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.lives: dict[InvocationId, Life] = defaultdict(Life)
        self.sessions: dict[SessionId, SessionLife] = defaultdict(SessionLife)
        self.deduped: list[Mark] = []
        """Pairs of a `Submission` and the id it was told."""
        self.unrequested: list[Mark] = []
        """Notices nobody had registered for."""
        for snapshot in evidence.snapshots:
            life = self.lives[snapshot.call.invocation_id]
            life.outcome = snapshot.outcome
            life.attempts = snapshot.attempts
        for index, record in enumerate(evidence.history.applied):
            if record.error is None and record.reply is not None:
                self._note(index, record)
        for execution in evidence.history.executions:
            if execution.sent is not None:
                self.lives[execution.invocation_id].sent.append(execution.sent)

    def _note(self, index: int, record: Applied) -> None:
        at_us, arguments, reply = record.at_us, record.arguments, record.reply
        if record.operation == "submit":
            self._submit(index, at_us, arguments[0], reply)
        elif record.operation == "exchange":
            self._exchange(index, at_us, arguments[0], reply)
        elif record.operation == "open_session":
            self.sessions[reply].opened_us = at_us
            self.sessions[reply].lease_us = record.options["lease_us"]
        elif record.operation == "watch":
            session = self.sessions[arguments[0]]
            session.renewed.append(Mark(index, at_us, arguments[0], None))
            known = {outcome.invocation_id for outcome in reply.outcomes} | set(reply.unknown)
            for invocation_id in arguments[1]:
                if invocation_id not in known:
                    session.watching[invocation_id] = Mark(index, at_us, arguments[0], invocation_id)
        elif record.operation == "cancel":
            for item in reply:
                if item.verdict is not CancelVerdict.UNKNOWN:
                    mark = Mark(index, at_us, SessionId(0), item.verdict)
                    self.lives[item.invocation_id].cancel_requests.append(mark)
        elif record.operation == "claim_ids":
            self.sessions[arguments[0]].renewed.append(Mark(index, at_us, arguments[0], None))
            for answer in reply:
                if answer.verdict is ClaimIdVerdict.CLAIMED:
                    self._claim(index, at_us, answer.claim)

    def _submit(self, index: int, at_us: int, items: Any, replies: Any) -> None:
        for item, reply in zip(items, replies, strict=True):
            if reply.verdict is SubmitVerdict.CREATED:
                session = item.parent.session if item.parent is not None else SessionId(0)
                self.lives[item.invocation_id].created = Mark(index, at_us, session, item)
            elif reply.verdict is SubmitVerdict.DEDUPED:
                self.deduped.append(Mark(index, at_us, SessionId(0), (item, reply.invocation_id)))

    def _claim(self, index: int, at_us: int, claim: Claim) -> None:
        self.lives[claim.invocation_id].claims.append(Mark(index, at_us, claim.session, claim))

    def _exchange(self, index: int, at_us: int, request: Exchange, reply: ExchangeReply) -> None:
        session = request.session
        self.sessions[session].renewed.append(Mark(index, at_us, session, None))
        self.sessions[session].fetched.append(Mark(index, at_us, session, None))
        for completion, verdict in zip(request.completions, reply.verdicts, strict=True):
            life = self.lives[completion.invocation_id]
            if verdict.verdict is Verdict.ACCEPTED:
                life.accepted.append(Mark(index, at_us, session, completion))
            elif isinstance(completion, Suspend) and verdict.verdict in _GOES_ON:
                life.refused_waits.append(Mark(index, at_us, session, (completion, verdict)))
        for resumed in reply.resumed:
            self.lives[resumed.invocation_id].resumed.append(Mark(index, at_us, session, resumed))
        for claim in reply.claims:
            self._claim(index, at_us, claim)
        for message in reply.inbox:
            if isinstance(message, CancelNotice):
                self.lives[message.invocation_id].cancel_notices.append(Mark(index, at_us, session, message))
            elif isinstance(message, FinishedNotice):
                watched = self.sessions[session].watching.pop(message.outcome.invocation_id, None)
                if watched is None:
                    self.unrequested.append(Mark(index, at_us, session, message.outcome))


_GOES_ON = (Verdict.SATISFIED, Verdict.WAIT_CYCLE, Verdict.UNKNOWN)


def submission(life: Life) -> Submission | None:
    """Return what created an invocation, if that was observed."""
    return None if life.created is None else life.created.what


def resumption(mark: Mark) -> Resumed:
    """Return what a mark of `Life.resumed` holds."""
    resumed: Resumed = mark.what
    return resumed
