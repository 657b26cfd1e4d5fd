"""Sessions: proof of life, and what becomes of their work when they end."""

from __future__ import annotations

from pynenc.backends.memory.ending import put_back, write_attempt
from pynenc.backends.memory.settling import crash, give_back
from pynenc.backends.memory.state import MemoryState, Record, Session
from pynenc.errors import SessionGone
from pynenc.model.ids import SessionId
from pynenc.model.records import Owned, SessionInfo, SessionRow
from pynenc.model.status import Reason, State


def open_session(state: MemoryState, info: SessionInfo, lease_us: int, now_us: int) -> SessionId:
    """Register a process incarnation under a number that was never used."""
    state.last_session += 1
    number = SessionId(state.last_session)
    state.sessions[number] = Session(number, info, lease_us, now_us, now_us + lease_us)
    return number


def live_session(state: MemoryState, number: SessionId, now_us: int) -> Session:
    """Return a session that has not ended, renewed.

    Raises:
        SessionGone: it has ended, or never was.
    """
    session = state.sessions.get(number)
    if session is None or session.ended_at_us is not None:
        raise SessionGone(f"session {number} has ended; what it owned belongs to others now")
    session.expires_at_us = now_us + session.lease_us
    return session


def close_session(state: MemoryState, number: SessionId, now_us: int) -> None:
    """End a session in good order: everything goes back uncounted."""
    session = state.sessions.get(number)
    if session is None or session.ended_at_us is not None:
        return
    for invocation_id in sorted(session.owned):
        record = state.records[invocation_id]
        _hand_back(state, record, Reason.RELEASED, now_us)
    _end(state, session, now_us)


def recover(state: MemoryState, session: Session, now_us: int) -> None:
    """End an expired session: what it ran runs again, counted as a crash where a body had begun."""
    for invocation_id in sorted(session.owned):
        record = state.records[invocation_id]
        if record.state is not State.OWNED:
            _hand_back(state, record, Reason.RUNNER_LOST_RUNNING, now_us)
        elif record.started_at_us is None:
            _hand_back(state, record, Reason.RUNNER_LOST_PENDING, now_us)
        else:
            crash(state, record, Reason.RUNNER_LOST_RUNNING, now_us, "runner lost")
    _end(state, session, now_us)


def _hand_back(state: MemoryState, record: Record, reason: Reason, now_us: int) -> None:
    write_attempt(state, record, reason, now_us)
    record.attempt -= 1
    if record.cancel_requested:
        give_back(state, record, reason, now_us)
    else:
        put_back(state, record, reason, now_us)


def _end(state: MemoryState, session: Session, now_us: int) -> None:
    session.ended_at_us = now_us
    session.idle = False
    for invocation_id in session.watched:
        watchers = state.watchers.get(invocation_id, set())
        watchers.discard(session.number)
        if not watchers:
            state.watchers.pop(invocation_id, None)
    session.watched.clear()
    session.inbox.clear()
    state.resumable.pop(session.number, None)


def list_owned(state: MemoryState, number: SessionId) -> list[Owned]:
    """Return what a session owns, by id."""
    session = state.sessions.get(number)
    if session is None:
        return []
    records = [state.records[invocation_id] for invocation_id in sorted(session.owned)]
    return [Owned(record.id, record.epoch, record.state, record.cancel_requested) for record in records]


def row_of(state: MemoryState, session: Session) -> SessionRow:
    """Return a session as queries see it."""
    # What is damaged must be seen too.
    running = sum(each in state.records and state.records[each].state is State.OWNED for each in session.owned)
    return SessionRow(
        session=session.number,
        info=session.info,
        opened_at_us=session.opened_at_us,
        expires_at_us=session.expires_at_us,
        ended_at_us=session.ended_at_us,
        owned=len(session.owned),
        running=running,
    )
