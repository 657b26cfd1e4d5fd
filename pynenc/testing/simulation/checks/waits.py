"""C8: waits, dependencies and notices."""

from __future__ import annotations

from collections.abc import Iterator

from pynenc.model.dependencies import counts, needed
from pynenc.model.ids import InvocationId
from pynenc.model.records import CancelVerdict, Suspend, Verdict
from pynenc.model.status import InvocationStatus
from pynenc.testing.simulation.history import Finding
from pynenc.testing.simulation.ledger import Ledger, Life, Mark, resumption


def waits(ledger: Ledger) -> Iterator[Finding]:
    """Each suspension is resumed once, when its condition holds, with the outcomes it waited for."""
    for invocation_id, life in ledger.lives.items():
        for mark in life.refused_waits:
            yield from _went_on(ledger, invocation_id, mark)
        if life.resumed:
            yield from _resumed(ledger, invocation_id, life)


def _resumed(ledger: Ledger, invocation_id: InvocationId, life: Life) -> Iterator[Finding]:
    suspended: Mark | None = None
    marks = [mark for mark in life.accepted if isinstance(mark.what, Suspend)] + life.resumed
    # A suspension comes before a resumption of the same exchange.
    for mark in sorted(marks, key=lambda mark: (mark.index, not isinstance(mark.what, Suspend))):
        if suspended is not None and suspended.what.epoch != mark.what.epoch:
            suspended = None
        if isinstance(mark.what, Suspend):
            suspended = suspended or mark
        elif suspended is None:
            yield Finding("C8", invocation_id, "was resumed although it did not wait")
        else:
            yield from _condition(ledger, invocation_id, suspended, mark)
            suspended = None


def _condition(ledger: Ledger, invocation_id: InvocationId, suspended: Mark, mark: Mark) -> Iterator[Finding]:
    wait: Suspend = suspended.what
    resumed = resumption(mark)
    distinct = tuple(dict.fromkeys(wait.waits))
    if resumed.timed_out:
        if wait.timeout_us is None or mark.at_us < suspended.at_us + wait.timeout_us:
            yield Finding("C9", invocation_id, "its wait ended before its time")
    elif len(resumed.outcomes) < (wait.need or len(distinct)):
        yield Finding("C8", invocation_id, f"went on with {len(resumed.outcomes)} outcomes of {wait}")
    stored = [ledger.lives[awaited].outcome for awaited in distinct]
    expected = {o.invocation_id for o in stored if o is not None and o.ended_at_us < mark.at_us}
    given = [outcome.invocation_id for outcome in resumed.outcomes]
    if expected - set(given):
        yield Finding("C8", invocation_id, "went on without all outcomes that were there")
    if given != [awaited for awaited in distinct if awaited in given]:
        yield Finding("C8", invocation_id, "got outcomes in another order than it asked for")
    if any(outcome not in stored for outcome in resumed.outcomes):
        yield Finding("C2", invocation_id, "was told another outcome than the stored one")


def _went_on(ledger: Ledger, invocation_id: InvocationId, mark: Mark) -> Iterator[Finding]:
    wait, reply = mark.what
    if reply.verdict is Verdict.SATISFIED:
        if len(reply.outcomes) < (wait.need or len(set(wait.waits))):
            yield Finding("C8", invocation_id, f"was told SATISFIED with {len(reply.outcomes)} outcomes of {wait}")
    elif reply.verdict is Verdict.WAIT_CYCLE:
        ends_meet = reply.cycle[0] == reply.cycle[-1] == invocation_id
        if not ends_meet or reply.cycle[1] not in wait.waits:
            yield Finding("C8", invocation_id, f"was refused for a cycle that is none: {reply.cycle}")
        for waiter, awaited in zip(reply.cycle[1:], reply.cycle[2:], strict=False):
            if not _waits_for(ledger.lives[waiter], awaited, mark.index):
                yield Finding("C8", waiter, "is named in a cycle without waiting")
    elif reply.cycle[0] in ledger.lives:
        created = ledger.lives[reply.cycle[0]].created
        if created is not None and created.index < mark.index:
            yield Finding("C8", invocation_id, "was refused for an unknown invocation that is known")


def _waits_for(life: Life, awaited: InvocationId, index: int) -> bool:
    asked = [mark.what.waits for mark in life.accepted if isinstance(mark.what, Suspend) and mark.index <= index]
    if life.created is not None:
        asked.append(life.created.what.after)
    return any(awaited in ids for ids in asked)


def dependencies(ledger: Ledger) -> Iterator[Finding]:
    """What comes after others starts after them, and only if they ended as it wants."""
    for invocation_id, life in ledger.lives.items():
        if life.created is None or not life.claims:
            continue
        item, started_us = life.created.what, life.claims[0].at_us
        outcomes = [ledger.lives[dependency].outcome for dependency in dict.fromkeys(item.after)]
        as_wanted = sum(
            outcome is not None and outcome.ended_at_us <= started_us and counts(item.after_policy, outcome.status)
            for outcome in outcomes
        )
        if as_wanted < needed(item.after_need, len(outcomes)):
            yield Finding("C8", invocation_id, f"started after {as_wanted} of {len(outcomes)} that it comes after")


def notices(ledger: Ledger) -> Iterator[Finding]:
    """Watchers are told once; owners of what shall be cancelled are told, and nobody claims it again."""
    for mark in ledger.unrequested:
        yield Finding("C8", mark.what.invocation_id, f"session {mark.session} was told, but did not watch (any more)")
    for number, session in ledger.sessions.items():
        for invocation_id, mark in session.watching.items():
            outcome = ledger.lives[invocation_id].outcome
            later = [asked for asked in session.fetched if outcome and asked.at_us > outcome.ended_at_us]
            if later and mark.index < later[0].index:
                yield Finding("C8", invocation_id, f"ended, and session {number} that watches it was not told")
    for invocation_id, life in ledger.lives.items():
        yield from _cancel(ledger, invocation_id, life)


def _cancel(ledger: Ledger, invocation_id: InvocationId, life: Life) -> Iterator[Finding]:
    asked = [mark for mark in life.cancel_requests if mark.what is CancelVerdict.REQUESTED]
    ended = [mark for mark in life.cancel_requests if mark.what is CancelVerdict.CANCELLED]
    if ended and (life.outcome is None or life.outcome.status is not InvocationStatus.CANCELLED):
        yield Finding("C2", invocation_id, "somebody was told that it is cancelled, which it is not")
    if asked and any(claim.index > asked[0].index for claim in life.claims):
        yield Finding("C8", invocation_id, "was claimed again after it was to be cancelled")
    if asked:
        owner = max((claim for claim in life.claims if claim.index < asked[0].index), key=lambda mark: mark.index)
        fetched = ledger.sessions[owner.session].fetched
        told = any(notice.session == owner.session for notice in life.cancel_notices)
        if not told and any(mark.at_us > asked[0].at_us for mark in fetched):
            yield Finding("C8", invocation_id, f"its owner {owner.session} was not told to cancel it")
