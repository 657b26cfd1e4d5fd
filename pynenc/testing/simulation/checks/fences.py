"""C3, C4 and C12: who may write, one owner at a time, every claim accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import Release, Suspend
from pynenc.model.status import Reason
from pynenc.testing.simulation.history import Evidence, Finding
from pynenc.testing.simulation.ledger import Ledger, Life, Mark

_COUNTED = (Reason.RETRY, Reason.TIMED_OUT)


def executions(evidence: Evidence) -> Iterator[Finding]:
    """C4: no claim is executed twice."""
    runs = Counter((run.invocation_id, run.epoch) for run in evidence.history.executions)
    for (invocation_id, epoch), times in runs.items():
        if times > 1:
            yield Finding("C4", invocation_id, f"claim {epoch} was executed {times} times")


def kept(evidence: Evidence, ledger: Ledger) -> Iterator[Finding]:
    """C12: a runner that lives does not hand back what its body has finished."""
    for run in evidence.history.executions:
        if run.sent is None or isinstance(run.sent, Release):
            continue
        for mark in ledger.lives[run.invocation_id].accepted:
            if isinstance(mark.what, Release) and (mark.session, mark.what.epoch) == (run.session, run.epoch):
                yield Finding("C12", run.invocation_id, f"{run.sent} was thrown away by its runner")


def fenced(ledger: Ledger) -> Iterator[Finding]:
    """C3: accepted writes and children come from the current owner."""
    for invocation_id, life in ledger.lives.items():
        for mark in life.accepted:
            wrong = _superseded(life, mark, mark.session, mark.what.epoch)
            if wrong:
                yield Finding("C3", invocation_id, f"accepted {mark.what} although {wrong}")
            elif not isinstance(mark.what, Suspend) and _suspended(life, mark.what.epoch, mark.index):
                yield Finding("C3", invocation_id, f"accepted {mark.what} although it was suspended")
        created = life.created
        if created is not None and created.what.parent is not None:
            fence = created.what.parent
            wrong = _superseded(ledger.lives[fence.invocation_id], created, fence.session, fence.epoch)
            if wrong:
                yield Finding("C3", invocation_id, f"child of {fence.session}.{fence.epoch} although {wrong}")


def _superseded(life: Life, mark: Mark, session: SessionId, epoch: Epoch) -> str:
    """Return why (session, epoch) did not own the invocation at `mark`; "" if it did."""
    claims = [claim for claim in life.claims if claim.index < mark.index]
    if not claims:
        return "nobody had claimed it"
    last = claims[-1]
    if (last.session, last.what.epoch) != (session, epoch):
        return f"{last.session}.{last.what.epoch} owned it"
    for earlier in life.accepted:
        if earlier.index < mark.index and earlier.what.epoch == epoch and not isinstance(earlier.what, Suspend):
            return f"that claim had ended with {type(earlier.what).__name__}"
    if any(row.ended_at_us < mark.at_us for row in life.ends(epoch)):
        return "that claim had been recovered or given back"
    if life.outcome is not None and life.outcome.ended_at_us < mark.at_us:
        return "it was final"
    return ""


def one_owner_at_a_time(ledger: Ledger) -> Iterator[Finding]:
    """C4: epochs go up by one, and each claim was over before the next."""
    for invocation_id, life in ledger.lives.items():
        epochs = [mark.what.epoch for mark in life.claims]
        if epochs != list(range(1, len(epochs) + 1)):
            yield Finding("C4", invocation_id, f"was claimed with the epochs {epochs}")
        for before, after in zip(life.claims, life.claims[1:], strict=False):
            ended = [row.ended_at_us for row in life.ends(before.what.epoch)]
            if not ended or min(ended) > after.at_us:
                detail = f"claim {after.what.epoch} came before the end of claim {before.what.epoch}"
                yield Finding("C4", invocation_id, detail)
        yield from _rows(invocation_id, life)


def _rows(invocation_id: InvocationId, life: Life) -> Iterator[Finding]:
    sessions = {mark.what.epoch: mark.session for mark in life.claims}
    for row in life.attempts:
        if row.session != sessions.get(row.epoch):
            yield Finding("C4", invocation_id, f"attempt row of {row.session}.{row.epoch} that never claimed it")
    for epoch, rows in Counter(row.epoch for row in life.attempts if row.reason is not Reason.WAITED).items():
        if rows > 1:
            yield Finding("C4", invocation_id, f"claim {epoch} ended {rows} times")
    outcome = life.outcome
    if outcome is not None and outcome.epoch != len(life.claims):
        yield Finding("C4", invocation_id, f"ended at epoch {outcome.epoch} after {len(life.claims)} claims")


def counted(ledger: Ledger) -> Iterator[Finding]:
    """C12: attempts and crashes are what the rows say, and a poisoned invocation ends in time."""
    for invocation_id, life in ledger.lives.items():
        outcome = life.outcome
        if outcome is None:
            continue
        failed = sum(row.reason in _COUNTED for row in life.attempts)
        # The last claim counts unless a row took it back.
        under_way = int(bool(life.claims) and not life.ends(life.claims[-1].what.epoch))
        if outcome.attempt != failed + under_way:
            detail = f"{outcome.attempt} attempts are counted, {failed} were retried, {under_way} ended it"
            yield Finding("C12", invocation_id, detail)
        crashes = sum(_crashed(life, row_index) for row_index in range(len(life.attempts)))
        if outcome.crashes != crashes:
            yield Finding("C12", invocation_id, f"{outcome.crashes} crashes are counted, the rows tell of {crashes}")
        if life.created is not None and outcome.crashes > life.created.what.max_crashes + 1:
            yield Finding("C12", invocation_id, f"was tried again after {outcome.crashes} crashes")


def _crashed(life: Life, index: int) -> bool:
    """Whether the row counts as a crash: a runner that was lost while its body waited does not."""
    row = life.attempts[index]
    if row.reason is Reason.WORKER_CRASHED:
        return True
    return row.reason is Reason.RUNNER_LOST_RUNNING and not _suspended_at(life, row.epoch, row.ended_at_us)


def _suspended_at(life: Life, epoch: Epoch, at_us: int) -> bool:
    marks = [mark.index for mark in (*life.accepted, *life.resumed) if mark.at_us <= at_us]
    return _suspended(life, epoch, max(marks, default=-1) + 1)


def _suspended(life: Life, epoch: Epoch, index: int) -> bool:
    """Whether it waited just before the operation `index`."""
    waits = [mark for mark in life.accepted if mark.what.epoch == epoch and isinstance(mark.what, Suspend)]
    goes_on = [mark for mark in life.resumed if mark.what.epoch == epoch]
    # Within one exchange a suspension comes before a resumption.
    last_wait = max((2 * mark.index for mark in waits if mark.index < index), default=-1)
    last_end = max((2 * mark.index + 1 for mark in goes_on if mark.index < index), default=-1)
    return last_wait > last_end
