"""Claims: who gets the next invocation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynenc.backends.sqlite.ending import expire, free_key
from pynenc.backends.sqlite.gated_claiming import GatedClaim, in_turn, reject
from pynenc.backends.sqlite.rows import GATED, KEYED, READY, select_in
from pynenc.backends.sqlite.unit import Unit, serves
from pynenc.model.gates import GateMode
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import Claim, ClaimIdReply, ClaimIdVerdict, DedupePhase

_WHAT = (
    "SELECT l.id, l.rank, l.epoch, l.attempt, l.crashes, l.cancel_requested, l.expires_at, l.flags, l.queue, "
    "c.task_id, c.arguments, c.policy, c.meta, c.parent, c.root FROM live l JOIN call c ON c.id = l.id "
)
_FIRST = "l.queue = ? AND l.lane IS NULL AND l.state = 1 AND l.owner IS NULL AND l.rank < ? "
_AWAITED = "AND (c.parent IS NOT NULL OR EXISTS (SELECT 1 FROM wait WHERE waited = l.id)) "
_IN_ORDER = "ORDER BY l.rank, l.id LIMIT ?"
_THESE = _WHAT + "WHERE l.id IN (*)"
_HEADS = "SELECT l.rank, l.id FROM live l "
_HEADS_WITH_CALLS = _HEADS + "JOIN call c ON c.id = l.id "
_ANY_RANK = 2**63 - 1
_TAKE = (
    "UPDATE live SET state = 2, owner = ?, worker = 0, epoch = epoch + 1, attempt = attempt + 1, claimed_at = ?, "
    "started_at = NULL, due = NULL, lane = NULL WHERE id = ?"
)


def claim_new(
    unit: Unit, session: int, queues: Sequence[str], want: int, before: int | None, *, awaited: bool
) -> tuple[list[Claim], int]:
    """Hand up to `want` READY invocations of these queues (() for all) to the session, by (rank, id).

    Args:
        before: only those of a lower rank; None for any.
        awaited: only those that somebody waits for or comes after, and children.

    Returns:
        The claims, and how many closed gates it met.
    """
    claims: list[Claim] = []
    if want <= 0:
        return claims, 0
    unit.flush()
    open_queues = [
        (number, bool(gated))
        for number, name, gated in unit.connection.execute(
            "SELECT id, name, gated FROM queue WHERE paused = 0 AND used = 1"
        )
        if serves(queues, name)
    ]
    if any(gated for _, gated in open_queues):
        claim = GatedClaim(
            unit, open_queues, want, before, awaited=awaited, take=lambda rows: _own(unit, session, rows)
        )
        return _claims_of(unit, session, claim.run()), claim.looked
    numbers = [number for number, _ in open_queues]
    while numbers and len(claims) < want:
        rows = _first(unit, numbers, want - len(claims), _ANY_RANK if before is None else before, awaited=awaited)
        claims += _take(unit, session, rows)
        if not unit.flush_ended():
            break
    return claims, 0


def _first(unit: Unit, numbers: Sequence[int], limit: int, before: int, *, awaited: bool) -> list[tuple[Any, ...]]:
    """Return the rows that come first over all queues."""
    connection = unit.connection
    which = f"WHERE {_FIRST}{_AWAITED if awaited else ''}{_IN_ORDER}"
    if len(numbers) == 1:
        return connection.execute(_WHAT + which, (numbers[0], before, limit)).fetchall()
    heads: list[tuple[int, InvocationId]] = []
    for number in numbers:
        heads += connection.execute(
            (_HEADS_WITH_CALLS if awaited else _HEADS) + which, (number, before, limit)
        ).fetchall()
    chosen = [invocation_id for _, invocation_id in sorted(heads)[:limit]]
    found = {row[0]: row for row in select_in(connection, _THESE, chosen)}
    return [found[each] for each in chosen]


def _take(unit: Unit, session: int, rows: Sequence[tuple[Any, ...]]) -> list[Claim]:
    """Make the session own these rows, but end those whose time is over."""
    now = unit.now
    taken = []
    for row in rows:
        if row[6] is not None and row[6] <= now:
            live = unit.live(row[0])
            if live is not None:
                expire(unit, live)
        else:
            taken.append(row)
    _own(unit, session, taken)
    return _claims_of(unit, session, taken)


def _own(unit: Unit, session: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Make the session own these rows."""
    now = unit.now
    for row in rows:
        if row[7] & KEYED:
            free_key(unit, row[0], (DedupePhase.UNTIL_CLAIMED,))
    unit.connection.executemany(_TAKE, [(session, now, row[0]) for row in rows])
    for row in rows:
        unit.forget_one(row[0])


def _claims_of(unit: Unit, session: int, rows: Sequence[tuple[Any, ...]]) -> list[Claim]:
    """Return what the owner of these rows, as they were before, gets."""
    name = unit.names.name
    return [
        Claim(
            invocation_id=row[0],
            session=SessionId(session),
            epoch=Epoch(row[2] + 1),
            attempt=row[3] + 1,
            crashes=row[4],
            task_id=row[9],
            arguments=row[10],
            policy=row[11],
            meta=row[12],
            queue=name(unit.connection, row[8]),
            rank=row[1],
            parent_id=row[13],
            root_id=row[14],
            cancel_requested=bool(row[5]),
        )
        for row in rows
    ]


def claim_by_id(
    unit: Unit, session: int, ids: Sequence[InvocationId], queues: Sequence[str], most: int | None
) -> list[ClaimIdReply]:
    """Claim up to `most` of these very invocations where they are READY without an owner, in one of the queues."""
    unit.load(ids)
    replies: list[ClaimIdReply] = []
    claimed = 0
    for each in ids:
        if most is not None and claimed >= most:
            break
        replies.append(_claim_one(unit, session, each, queues))
        claimed += replies[-1].verdict is ClaimIdVerdict.CLAIMED
    return replies


def _claim_one(unit: Unit, session: int, invocation_id: InvocationId, queues: Sequence[str]) -> ClaimIdReply:
    live = unit.live(invocation_id)
    if live is None:
        known = unit.ended_by(invocation_id) is not None
        return ClaimIdReply(ClaimIdVerdict.FINAL if known else ClaimIdVerdict.UNKNOWN)
    if live.owner is not None:
        return ClaimIdReply(ClaimIdVerdict.BUSY)
    if live.state != READY or not _is_open(unit, live.queue, queues):
        return ClaimIdReply(ClaimIdVerdict.NOT_READY)
    if live.flags & GATED and (live.expires_at is None or live.expires_at > unit.now):
        if in_turn(unit, live) != live.id:
            return ClaimIdReply(ClaimIdVerdict.BUSY)
        gate = unit.gating.closed(live)
        if gate is not None and gate.mode is GateMode.PARK:
            return ClaimIdReply(ClaimIdVerdict.BUSY)
        if gate is not None:
            reject(unit, live, gate)
            return ClaimIdReply(ClaimIdVerdict.FINAL)
        unit.gating.start(live)
    unit.flush()
    claims = _take(unit, session, select_in(unit.connection, _THESE, [invocation_id]))
    if not claims:
        return ClaimIdReply(ClaimIdVerdict.FINAL)
    return ClaimIdReply(ClaimIdVerdict.CLAIMED, claims[0])


def _is_open(unit: Unit, queue: int, queues: Sequence[str]) -> bool:
    """Whether a queue is one of `queues` and not paused."""
    row = unit.connection.execute("SELECT paused, name FROM queue WHERE id = ?", (queue,)).fetchone()
    return row is not None and not row[0] and serves(queues, row[1])
