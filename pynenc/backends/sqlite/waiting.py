"""`suspend`, `watch` and going on: check and register as one unit."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.backends.sqlite.ending import CANCELLED_RUNNING, end
from pynenc.backends.sqlite.inheriting import inherit
from pynenc.backends.sqlite.rows import (
    AWAITED,
    GATED,
    LIVE_COLUMNS,
    OWNED,
    SUSPENDED,
    WAIT_TIMED_OUT,
    WATCHED,
    Live,
    split_ids,
)
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import CompletionReply, Resumed, Suspend, Verdict, WatchReply
from pynenc.model.status import InvocationStatus, Reason
from pynenc.model.wait_graph import cycle_closed_by

_ACCEPTED = CompletionReply(Verdict.ACCEPTED)


def suspend(unit: Unit, live: Live, wish: Suspend) -> CompletionReply:
    """Suspend a run until enough of what it names is final, unless it is already, or never would be."""
    if live.state != OWNED:
        return _ACCEPTED
    waits = list(dict.fromkeys(wish.waits))
    unit.load(waits)
    ended = [each for each in waits if unit.live(each) is None]
    outcomes = unit.outcomes(ended)
    unknown = next((each for each in ended if each not in outcomes), None)
    if unknown is not None:
        return CompletionReply(Verdict.UNKNOWN, cycle=(unknown,))
    need = min(wish.need, len(waits)) or len(waits)
    if len(ended) >= need:
        return CompletionReply(Verdict.SATISFIED, outcomes=tuple(outcomes[each] for each in ended))
    awaited = [each for each in waits if each not in outcomes]
    cycle = _find_cycle(unit, live, awaited)
    if cycle:
        return CompletionReply(Verdict.WAIT_CYCLE, cycle=cycle)
    note_run(live, wish.ran_us, wish.worker, unit.now)
    if live.cancel_requested:
        unit.tell_cancel(live, CANCELLED_RUNNING)
        end(unit, live, InvocationStatus.CANCELLED, reason=CANCELLED_RUNNING)
        return _ACCEPTED
    add_edges(unit, live.id, awaited)
    unit.connection.execute("INSERT OR REPLACE INTO waitlist (id, waits) VALUES (?, ?)", (live.id, b"".join(waits)))
    live.need_left = need - len(ended)
    live.state = SUSPENDED
    live.expires_at = None
    live.suspended_at = unit.now
    live.wait_until = None if wish.timeout_us is None else unit.now + wish.timeout_us
    unit.changed(live)
    if live.flags & GATED:
        unit.gating.suspend(live)
    if wish.inherit:
        inherit(unit, live, awaited)
    return _ACCEPTED


def note_run(live: Live, ran_us: int, worker: int, now: int) -> None:
    """Note when and where a body began that its owner reports on now; what was reported before stays."""
    if live.started_at is None and ran_us > 0:
        live.started_at = max(now if live.claimed_at is None else live.claimed_at, now - ran_us)
    if worker:
        live.worker = worker


def add_edges(unit: Unit, waiter: InvocationId, waited: Sequence[InvocationId]) -> None:
    """Note that `waiter` waits for each of `waited`, which are live."""
    unit.connection.executemany("INSERT INTO wait (waiter, waited) VALUES (?, ?)", [(waiter, each) for each in waited])
    unit.flag(waited, AWAITED)


def _find_cycle(unit: Unit, live: Live, waited: Sequence[InvocationId]) -> tuple[InvocationId, ...]:
    """Return the cycle that waiting would close; without a look at the table if nobody waits for the waiter."""

    def waiters_of(invocation_id: InvocationId) -> list[InvocationId]:
        if invocation_id == live.id and not live.flags & AWAITED:
            return []
        rows = unit.connection.execute("SELECT waiter FROM wait WHERE waited = ? ORDER BY waiter", (invocation_id,))
        return [row[0] for row in rows]

    return cycle_closed_by(live.id, waited, waiters_of)


def go_on(unit: Unit, session: int, want: int) -> list[Resumed]:
    """Let up to `want` suspended invocations of the session go on, by (rank, id)."""
    resumed: list[Resumed] = []
    again = want > 0
    while again:
        unit.flush()
        rows = unit.connection.execute(
            f"SELECT {LIVE_COLUMNS} FROM live WHERE owner = ? AND state = 1 AND lane IS NULL ORDER BY rank, id LIMIT ?",
            (session, want - len(resumed)),
        ).fetchall()
        again = False
        for row in rows:
            live = Live(*row)
            unit.adopt(live)
            if not live.flags & GATED:
                resumed.append(_go_on(unit, live))
                continue
            if unit.gating.may_go_on(live):
                resumed.append(_go_on(unit, live))
            # Others may be let go on now that come before the rest.
            again = len(resumed) < want
            break
    return resumed


def _go_on(unit: Unit, live: Live) -> Resumed:
    row = unit.connection.execute("SELECT waits FROM waitlist WHERE id = ?", (live.id,)).fetchone()
    unit.connection.execute("DELETE FROM waitlist WHERE id = ?", (live.id,))
    waits = split_ids(row[0] if row else b"")
    outcomes = unit.outcomes(waits)
    unit.write_attempt(live, Reason.WAITED)
    timed_out = bool(live.flags & WAIT_TIMED_OUT)
    live.flags &= ~WAIT_TIMED_OUT
    live.state = OWNED
    live.suspended_at = None
    unit.changed(live)
    return Resumed(
        invocation_id=live.id,
        epoch=Epoch(live.epoch),
        timed_out=timed_out,
        outcomes=tuple(outcomes[each] for each in waits if each in outcomes),
    )


def watch(unit: Unit, session: int, ids: Sequence[InvocationId]) -> WatchReply:
    """Return what has ended and have the session told of the rest."""
    wanted = list(dict.fromkeys(ids))
    unit.load(wanted)
    alive = [each for each in wanted if unit.live(each) is not None]
    unit.connection.executemany(
        "INSERT OR IGNORE INTO watch (id, session) VALUES (?, ?)", [(each, session) for each in alive]
    )
    unit.flag(alive, WATCHED)
    rest = [each for each in wanted if unit.live(each) is None]
    outcomes = unit.outcomes(rest)
    return WatchReply(
        outcomes=tuple(outcomes[each] for each in rest if each in outcomes),
        unknown=tuple(each for each in rest if each not in outcomes),
    )
