"""C9: nothing happens before its time."""

from __future__ import annotations

from collections.abc import Iterator

from pynenc.model.records import Release, Retry
from pynenc.model.status import InvocationStatus, Reason
from pynenc.testing.simulation.history import Finding
from pynenc.testing.simulation.ledger import Ledger, Life

_LOST = (Reason.RUNNER_LOST_PENDING, Reason.RUNNER_LOST_RUNNING)


def not_early(ledger: Ledger) -> Iterator[Finding]:
    """Delayed work starts after its delay, expiring work before its expiry, retries after their pause."""
    for invocation_id, life in ledger.lives.items():
        for problem in (*_first_start(life), *_retries(life)):
            yield Finding("C9", invocation_id, problem)


def _first_start(life: Life) -> Iterator[str]:
    if life.created is None:
        return
    item, registered_us = life.created.what, life.created.at_us
    if life.claims and life.claims[0].at_us < registered_us + item.delay_us:
        yield "was claimed before its delay was over"
    if item.expires_us is None:
        return
    if life.claims and life.claims[0].at_us >= registered_us + item.expires_us:
        yield "was claimed after it had expired"
    outcome = life.outcome
    if outcome is not None and outcome.status is InvocationStatus.EXPIRED:
        if outcome.ended_at_us < registered_us + item.expires_us:
            yield "expired before its time"
        if any(row.reason is Reason.RETRY for row in life.attempts):
            yield "expired although it had started"


def _retries(life: Life) -> Iterator[str]:
    for mark in life.accepted:
        if isinstance(mark.what, (Retry, Release)) and mark.what.delay_us:
            later = [claim for claim in life.claims if claim.index >= mark.index and claim.what.epoch > mark.what.epoch]
            if later and later[0].at_us < mark.at_us + mark.what.delay_us:
                yield "was claimed again before its pause was over"


def leases(ledger: Ledger) -> Iterator[Finding]:
    """Nobody is taken to be lost before its lease has ended."""
    for invocation_id, life in ledger.lives.items():
        for row in life.attempts:
            session = ledger.sessions.get(row.session)
            if row.reason not in _LOST or session is None or not session.lease_us:
                continue
            renewed = [mark.at_us for mark in session.renewed if mark.at_us <= row.ended_at_us]
            last_us = max(renewed, default=session.opened_us)
            if row.ended_at_us < last_us + session.lease_us:
                early_us = last_us + session.lease_us - row.ended_at_us
                yield Finding("C9", invocation_id, f"session {row.session} was recovered {early_us} us early")
