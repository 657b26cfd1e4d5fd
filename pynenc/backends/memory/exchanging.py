"""`exchange`: the one round trip of a session."""

from __future__ import annotations

from pynenc.backends.memory.claiming import MOST_LOOKS, claim_new, claim_resumable
from pynenc.backends.memory.sessions import live_session
from pynenc.backends.memory.settling import note_progress, note_started, settle
from pynenc.backends.memory.state import MemoryState
from pynenc.backends.memory.ticking import next_due_us, tick
from pynenc.model.records import Exchange, ExchangeReply


def exchange(state: MemoryState, request: Exchange, now_us: int) -> ExchangeReply:
    """Renew, keep progress, settle, note starts, tick, claim, fetch messages: in this order."""
    session = live_session(state, request.session, now_us)
    session.idle = False
    if request.info is not None:
        session.info = request.info
    for note in request.progress:
        note_progress(state, session, note)
    verdicts = tuple(settle(state, session, done, now_us) for done in request.completions)
    for started in request.started:
        note_started(state, session, started, now_us)
    ticked = tick(state, request.tick_budget, now_us)
    resumed = claim_resumable(state, session, request.want, now_us)
    left = request.want - len(resumed) if request.claim_new else 0
    claims, looked = claim_new(state, session, request, left, now_us)
    if request.idle and len(resumed) + len(claims) < request.want:
        session.idle = True
        session.idle_queues = request.queues
    inbox, session.inbox = tuple(session.inbox), []
    return ExchangeReply(
        verdicts=verdicts,
        claims=tuple(claims),
        resumed=tuple(resumed),
        inbox=inbox,
        next_due_us=next_due_us(state, now_us),
        more=ticked.more or looked >= MOST_LOOKS,
    )
