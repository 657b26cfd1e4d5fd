"""C1 and C2: everything ends, once, as somebody said it should."""

from __future__ import annotations

from collections.abc import Iterator

from pynenc.model.dependencies import needed
from pynenc.model.ids import InvocationId
from pynenc.model.records import AfterPolicy, Cancelled, CancelVerdict, Completion, Failure, Outcome, Success
from pynenc.model.status import InvocationStatus
from pynenc.testing.simulation.history import Evidence, Finding
from pynenc.testing.simulation.ledger import Ledger, Life, submission

_ENDS = {
    Success: InvocationStatus.SUCCESS,
    Failure: InvocationStatus.FAILED,
    Cancelled: InvocationStatus.CANCELLED,
}


def nothing_lost(evidence: Evidence, ledger: Ledger) -> Iterator[Finding]:
    """C1: what a client was told of has an outcome; nothing at all is left under way."""
    known = {snapshot.call.invocation_id for snapshot in evidence.snapshots}
    for invocation_id in evidence.acknowledged:
        if invocation_id not in known:
            yield Finding("C1", invocation_id, "its submission was acknowledged; the store does not know it")
    for snapshot in evidence.snapshots:
        control = snapshot.control
        if control is not None:
            detail = f"never ended: {control.state.name} ({control.reason.name}), owner {control.owner}"
            yield Finding("C1", snapshot.call.invocation_id, detail)
    if not evidence.settled and not any(snapshot.control for snapshot in evidence.snapshots):
        yield Finding("C1", None, "everything ended, but somebody was never told")


def explained(ledger: Ledger) -> Iterator[Finding]:
    """C1: an ending without a body's say has a cause."""
    for invocation_id, life in ledger.lives.items():
        outcome = life.outcome
        if outcome is None:
            continue
        status = outcome.status
        if status is InvocationStatus.CANCELLED and not _was_cancelled(ledger, life, outcome):
            yield Finding("C1", invocation_id, f"cancelled by nobody ({outcome.reason})")
        elif status is InvocationStatus.EXPIRED:
            item = submission(life)
            if item is not None and item.expires_us is None:
                yield Finding("C1", invocation_id, "expired, but had no expiry")
        elif status is InvocationStatus.SUCCESS and not any(isinstance(sent, Success) for sent in life.sent):
            yield Finding("C1", invocation_id, "succeeded, but no body returned")


def _was_cancelled(ledger: Ledger, life: Life, outcome: Outcome) -> bool:
    asked = any(mark.what is not CancelVerdict.FINAL for mark in life.cancel_requests)
    if asked or any(isinstance(sent, Cancelled) for sent in life.sent):
        return True
    item = submission(life)
    if item is None:
        return True
    after = tuple(dict.fromkeys(item.after))
    bad = sum(_ended_badly(ledger, dependency) for dependency in after)
    return item.after_policy is AfterPolicy.ALL_SUCCEEDED and bad > len(after) - needed(item.after_need, len(after))


def _ended_badly(ledger: Ledger, invocation_id: InvocationId) -> bool:
    outcome = ledger.lives[invocation_id].outcome
    return outcome is not None and outcome.status is not InvocationStatus.SUCCESS


def shown_as_stored(evidence: Evidence, ledger: Ledger) -> Iterator[Finding]:
    """C2: what clients were shown is what the store has; what it has is what the body of that claim sent."""
    for shown in evidence.results:
        stored = ledger.lives[shown.invocation_id].outcome
        if stored is not None and shown != stored:
            yield Finding("C2", shown.invocation_id, f"changed after it was read: {shown} became {stored}")
    for execution in evidence.history.executions:
        outcome = ledger.lives[execution.invocation_id].outcome
        sent = execution.sent
        if outcome is None or sent is None or type(sent) not in _ENDS:
            continue
        if (outcome.session, outcome.epoch) == (execution.session, execution.epoch) and not _same(sent, outcome):
            yield Finding("C2", execution.invocation_id, f"ended {outcome.status}, its body sent {sent}")


def _same(sent: Completion, outcome: Outcome) -> bool:
    if _ENDS[type(sent)] is not outcome.status:
        return False
    if isinstance(sent, Success):
        return sent.result == outcome.payload
    return not isinstance(sent, Failure) or sent.error == outcome.payload


def completed_once(ledger: Ledger) -> Iterator[Finding]:
    """C2: at most one completion ended it, and the outcome is that one."""
    for invocation_id, life in ledger.lives.items():
        final = [mark for mark in life.accepted if type(mark.what) in _ENDS]
        if len(final) > 1:
            yield Finding("C2", invocation_id, f"{len(final)} completions were accepted")
        outcome = life.outcome
        if final and outcome is not None:
            mark = final[-1]
            if (mark.session, mark.what.epoch) != (outcome.session, outcome.epoch):
                detail = f"outcome of {outcome.session}.{outcome.epoch}, accepted {mark.session}.{mark.what.epoch}"
                yield Finding("C2", invocation_id, detail)
            elif not _same(mark.what, outcome):
                yield Finding("C2", invocation_id, f"ended {outcome.status}, accepted was {mark.what}")
        elif outcome is not None and outcome.session and not life.accepted:
            yield Finding("C2", invocation_id, f"session {outcome.session} ended it, but nothing was accepted")
