"""`exchange`: the one round trip of a session."""

from __future__ import annotations

from pynenc.backends.sqlite.claiming import claim_new
from pynenc.backends.sqlite.gated_claiming import MOST_LOOKS
from pynenc.backends.sqlite.messages import fetch_inbox
from pynenc.backends.sqlite.sessions import lease_of, renew_awake, tell
from pynenc.backends.sqlite.settling import note_progress, note_started, settle
from pynenc.backends.sqlite.ticking import next_due, tick
from pynenc.backends.sqlite.unit import Unit
from pynenc.backends.sqlite.waiting import go_on
from pynenc.model.records import Exchange, ExchangeReply


def exchange(unit: Unit, request: Exchange) -> ExchangeReply:
    """Renew, keep progress, settle, note starts, tick, claim, fetch messages: in this order.

    Raises:
        SessionGone: the session has ended; nothing was written.
    """
    session = request.session
    lease = lease_of(unit, session)
    unit.own_session = session
    if request.info is not None:
        tell(unit, session, request.info)
    note_progress(unit, session, request.progress)
    verdicts = settle(unit, session, request.completions)
    note_started(unit, session, request.started)
    _, more = tick(unit, request.tick_budget)
    resumed = go_on(unit, session, request.want)
    left = request.want - len(resumed) if request.claim_new else 0
    claims, looked = claim_new(unit, session, request.queues, left, request.before, awaited=request.awaited)
    inbox = fetch_inbox(unit, session)
    sleeps = request.idle and len(resumed) + len(claims) < request.want
    unit.wake()
    renew_awake(unit, session, lease, request.queues if sleeps else None)
    return ExchangeReply(
        verdicts=verdicts,
        claims=tuple(claims),
        resumed=tuple(resumed),
        inbox=inbox,
        next_due_us=next_due(unit.connection, unit.now),
        more=more or looked >= MOST_LOOKS,
    )
