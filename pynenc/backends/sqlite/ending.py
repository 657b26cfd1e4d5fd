"""How invocations end or go back, and whom that wakes."""

from __future__ import annotations

from collections import deque

from pynenc.backends.sqlite.rows import (
    AWAITED,
    BLOCKED,
    GATED,
    KEYED,
    OWNED,
    READY,
    SUSPENDED,
    WAIT_TIMED_OUT,
    WATCHED,
    Live,
    policy_of,
)
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.dependencies import counts, fallen_status, why_broken
from pynenc.model.ids import InvocationId
from pynenc.model.records import DedupePhase
from pynenc.model.status import InvocationStatus, Reason

CANCELLED_RUNNING = "cancelled while running"
# One that ends without ever being claimed must not hold its key for ever.
_FREED_BY_SUCCESS = (DedupePhase.UNTIL_CLAIMED, DedupePhase.UNTIL_FINAL)
_FREED_BY_OTHERS = (*_FREED_BY_SUCCESS, DedupePhase.WHILE_GOOD)


def end(
    unit: Unit,
    live: Live,
    status: InvocationStatus,
    *,
    payload: bytes = b"",
    reason: str = "",
    session: int = 0,
) -> None:
    """Write the outcome and wake whoever waited for it; in turn end what depended on its success."""
    if not live.flags & ~WATCHED and live.state == OWNED:
        if live.flags:
            unit.tell_finished(live.id)
        unit.finish(live, status, payload, reason, session, live.worker)
        return
    ended = deque([(live, status, payload, reason, session)])
    while ended:
        each, how, result, why, by = ended.popleft()
        _end_one(unit, each, how, result, why, by)
        if each.flags & AWAITED:
            detail = why_broken(each.id, how)
            for fallen in _release_waiters(unit, each.id, how):
                ended.append((fallen, fallen_status(policy_of(fallen.flags)), b"", detail, 0))


def _end_one(unit: Unit, live: Live, status: InvocationStatus, payload: bytes, reason: str, session: int) -> None:
    _drop_waiting(unit, live)
    if live.flags & KEYED:
        free_key(unit, live.id, _FREED_BY_SUCCESS if status is InvocationStatus.SUCCESS else _FREED_BY_OTHERS)
    if live.flags & WATCHED:
        unit.tell_finished(live.id)
    if not live.flags & GATED:
        unit.finish(live, status, payload, reason, session, live.worker)
        return
    unit.gating.withdraw(live)
    unit.finish(live, status, payload, reason, session, live.worker)
    unit.gating.give_up(live)


def free_key(unit: Unit, invocation_id: InvocationId, phases: tuple[DedupePhase, ...]) -> None:
    """Let others take the key that an invocation holds, if it does so in one of these phases."""
    unit.connection.execute(
        f"DELETE FROM dedupe WHERE id = ? AND phase IN ({','.join('?' * len(phases))})",
        (invocation_id, *map(int, phases)),
    )


def _release_waiters(unit: Unit, ended: InvocationId, status: InvocationStatus) -> list[Live]:
    """Take the edges to an ended invocation away; return the waiters that end with it, by id."""
    rows = unit.connection.execute("SELECT waiter FROM wait WHERE waited = ? ORDER BY waiter", (ended,)).fetchall()
    unit.connection.execute("DELETE FROM wait WHERE waited = ?", (ended,))
    fallen = []
    for (waiter_id,) in rows:
        waiter = unit.live(waiter_id)
        if waiter is None:
            continue
        if waiter.state == BLOCKED and not counts(policy_of(waiter.flags), status):
            if not _has_edges(unit, waiter.id, waiter.need_left):
                drop_edges(unit, waiter)
                fallen.append(waiter)
            continue
        waiter.need_left -= 1
        if waiter.need_left == 0:
            met(unit, waiter)
        else:
            unit.changed(waiter)
    return fallen


def _has_edges(unit: Unit, waiter: InvocationId, number: int) -> bool:
    """Whether it still waits for so many."""
    statement = "SELECT 1 FROM wait WHERE waiter = ? LIMIT 1 OFFSET ?"
    return unit.connection.execute(statement, (waiter, number - 1)).fetchone() is not None


def met(unit: Unit, waiter: Live) -> None:
    """What `waiter` waited for is there."""
    if waiter.state == SUSPENDED:
        resume(unit, waiter, timed_out=False)
        return
    drop_edges(unit, waiter)
    if waiter.not_before is not None:
        waiter.reason = Reason.DELAYED
        unit.changed(waiter)
    else:
        waiter.state = READY
        waiter.reason = Reason.NEW
        unit.placed(waiter)


def resume(unit: Unit, waiter: Live, *, timed_out: bool) -> None:
    """Hand a suspended invocation back to its owner, which goes on when it has a slot."""
    drop_edges(unit, waiter)
    waiter.wait_until = None
    waiter.flags = waiter.flags | WAIT_TIMED_OUT if timed_out else waiter.flags & ~WAIT_TIMED_OUT
    waiter.state = READY
    waiter.reason = Reason.RESUMED
    unit.placed(waiter)


def drop_edges(unit: Unit, waiter: Live) -> None:
    """Forget what `waiter` waits for."""
    unit.connection.execute("DELETE FROM wait WHERE waiter = ?", (waiter.id,))
    waiter.need_left = 0


def _drop_waiting(unit: Unit, live: Live) -> None:
    if live.need_left:
        drop_edges(unit, live)
    if live.state == SUSPENDED or (live.state == READY and live.owner is not None):
        unit.connection.execute("DELETE FROM waitlist WHERE id = ?", (live.id,))


def put_back(unit: Unit, live: Live, reason: Reason, *, delay: int = 0) -> None:
    """Make an invocation that loses its owner claimable again, now or after `delay`."""
    _drop_waiting(unit, live)
    if live.flags & GATED:
        unit.gating.withdraw(live)
    live.owner = None
    live.worker = 0
    live.claimed_at = live.started_at = live.suspended_at = live.wait_until = None
    live.reason = reason
    live.state = BLOCKED if delay > 0 else READY
    live.not_before = unit.now + delay if delay > 0 else None
    unit.placed(live)
    # In its lane first: if it comes before the others, it is also the first that is let out.
    if live.flags & GATED:
        unit.gating.give_up(live, keep_blocking=delay > 0)


def give_back(unit: Unit, live: Live, reason: Reason, *, delay: int = 0) -> None:
    """Make it claimable again, or end it if somebody asked for that meanwhile."""
    if live.cancel_requested:
        end(unit, live, InvocationStatus.CANCELLED, reason=CANCELLED_RUNNING)
    else:
        put_back(unit, live, reason, delay=delay)


def hand_back(unit: Unit, live: Live, reason: Reason) -> None:
    """Take a run from its owner; the attempt does not count."""
    unit.write_attempt(live, reason)
    live.attempt -= 1
    give_back(unit, live, reason)


def crash(unit: Unit, live: Live, reason: Reason, detail: str) -> None:
    """Take a run that died with its worker into account, and run it again or give up."""
    unit.write_attempt(live, reason, detail=detail)
    live.attempt -= 1
    live.crashes += 1
    live.expires_at = None
    if live.crashes > live.max_crashes and not live.cancel_requested:
        why = f"worker died {live.crashes} times, last: {detail}"
        end(unit, live, InvocationStatus.FAILED, reason=why)
    else:
        give_back(unit, live, reason)


def expire(unit: Unit, live: Live) -> None:
    """End an invocation that did not start in time."""
    end(unit, live, InvocationStatus.EXPIRED, reason="it did not start in time")
