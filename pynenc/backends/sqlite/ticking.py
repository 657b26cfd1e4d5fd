"""`tick`: whatever is due, each thing once, whoever calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynenc.backends.sqlite.ending import expire, resume
from pynenc.backends.sqlite.messages import keep_outcomes
from pynenc.backends.sqlite.queries import unnamed_before
from pynenc.backends.sqlite.rows import BLOCKED, GATED, READY, SUSPENDED, Live
from pynenc.backends.sqlite.sessions import recover
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.ids import InvocationId
from pynenc.model.records import TickReply
from pynenc.model.status import Reason

_FIRST_TIMER = (
    "SELECT min(due) FROM (SELECT min(due) AS due FROM live WHERE due IS NOT NULL UNION ALL "
    "SELECT min(due) FROM gate_timer)"
)
_FIRST_GATE = "SELECT due, gate FROM gate_timer WHERE due <= ? ORDER BY due, gate LIMIT 1"
_FIRST_LEASE = "SELECT min(expires_at) FROM session WHERE ended_at IS NULL"
_FIRST_RETENTION = "SELECT min(expires_at) FROM outcome WHERE expires_at IS NOT NULL"


def idle_reply(connection: Any, now: int) -> TickReply | None:
    """Return the answer of a tick that finds nothing to do, None if there is something."""
    retention = connection.execute(_FIRST_RETENTION).fetchone()[0]
    due = next_due(connection, now)
    if due == 0 or (retention is not None and retention <= now):
        return None
    return TickReply(handled=0, next_due_us=due, more=False)


def next_due(connection: Any, now: int) -> int | None:
    """Return how long until the earliest timer or end of a lease, 0 if overdue."""
    timer = connection.execute(_FIRST_TIMER).fetchone()[0]
    lease = connection.execute(_FIRST_LEASE).fetchone()[0]
    if timer is None and lease is None:
        return None
    first: int = min(moment for moment in (timer, lease) if moment is not None)
    return max(0, first - now)


def tick(unit: Unit, budget: int) -> tuple[int, bool]:
    """Handle up to `budget` timers, sessions and outcomes each; return how many, and whether a budget ran out."""
    if budget <= 0:
        return 0, True
    handled = [_timers(unit, budget), _sessions(unit, budget), _retention(unit, budget)]
    return sum(handled), any(each >= budget for each in handled)


def _timers(unit: Unit, budget: int) -> int:
    handled = 0
    while handled < budget:
        unit.flush()
        gate = unit.connection.execute(_FIRST_GATE, (unit.now,)).fetchone()
        ids = [
            row[0]
            for row in unit.connection.execute(
                "SELECT id FROM live WHERE due <= ? ORDER BY due, id LIMIT ?",
                (unit.now if gate is None else gate[0], budget - handled),
            )
        ]
        if not ids and gate is not None:
            unit.gating.activate(gate[1])
            handled += 1
            continue
        if not ids:
            break
        unit.load(ids)
        unit.overdue = False
        for each in ids:
            live = unit.live(each)
            # One that was due may have ended, or gone on, through another of them.
            if live is not None and live.due is not None and live.due <= unit.now:
                _handle(unit, live)
                handled += 1
            if unit.overdue:
                # Its turn may be before that of the rest.
                break
    return handled


def _handle(unit: Unit, live: Live) -> None:
    waits_for_claim = live.state == BLOCKED or (live.state == READY and live.owner is None)
    if live.expires_at is not None and live.expires_at <= unit.now and waits_for_claim:
        expire(unit, live)
    elif live.state == SUSPENDED:
        resume(unit, live, timed_out=True)
    else:
        live.state = READY
        live.not_before = None
        if live.reason == Reason.DELAYED:
            live.reason = Reason.NEW
        unit.placed(live)
        if live.flags & GATED:
            unit.gating.give_up(live)


def _sessions(unit: Unit, budget: int) -> int:
    expired = [
        row[0]
        for row in unit.connection.execute(
            "SELECT id FROM session WHERE ended_at IS NULL AND expires_at <= ?", (unit.now,)
        )
        if row[0] != unit.own_session
    ]
    for session in sorted(expired)[:budget]:
        recover(unit, session)
    return min(len(expired), budget)


def _retention(unit: Unit, budget: int) -> int:
    unit.flush()
    ids = [
        row[0]
        for row in unit.connection.execute(
            "SELECT id FROM outcome WHERE expires_at <= ? ORDER BY expires_at, id LIMIT ?", (unit.now, budget)
        )
    ]
    if ids:
        drop(unit, ids)
        _drop_unnamed(unit, budget)
    return len(ids)


def _drop_unnamed(unit: Unit, budget: int) -> None:
    """Drop what no known invocation can name: client data that was last written, and sessions that ended, well before
    the oldest of them was submitted."""
    limit = unnamed_before(unit.connection, unit.now)
    unit.connection.execute(
        "DELETE FROM blob WHERE rowid IN (SELECT rowid FROM blob WHERE written_at < ? ORDER BY written_at LIMIT ?)",
        (limit, budget),
    )
    unit.connection.execute(
        "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ended_at < ? ORDER BY ended_at, id LIMIT ?)",
        (limit, budget),
    )


def drop(unit: Unit, ids: Sequence[InvocationId]) -> None:
    """Forget everything that is known of final invocations."""
    unit.deliver()
    keep_outcomes(unit, ids)
    rows = [(each,) for each in ids]
    for table in ("outcome", "call", "attempt", "progress", "dedupe"):
        unit.connection.executemany(f"DELETE FROM {table} WHERE id = ?", rows)
