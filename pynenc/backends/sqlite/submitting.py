"""`submit`: new invocations."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from pynenc.backends.gate_checks import checked
from pynenc.backends.sqlite.ending import end
from pynenc.backends.sqlite.gate_rows import GatedCall, encode_gates, lane_key
from pynenc.backends.sqlite.reserving import held, holder_of, take_key
from pynenc.backends.sqlite.rows import (
    BLOCKED,
    GATED,
    KEYED,
    READY,
    Live,
    gate_flags,
    policy_flags,
)
from pynenc.backends.sqlite.unit import Unit
from pynenc.backends.sqlite.waiting import add_edges
from pynenc.model.dependencies import Outlook, fallen_status, outlook
from pynenc.model.gates import Gate
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import BAND_UNIT
from pynenc.model.records import NEWEST_FIRST, Fence, Submission, SubmitReply, SubmitVerdict
from pynenc.model.status import Reason

_INSERT_CALL = (
    "INSERT INTO call (id, task_id, queue, language, arguments, policy, meta, parent, root, created_at, band, "
    "retention, max_crashes, gates) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_INSERT_LIVE = (
    "INSERT INTO live (id, state, reason, queue, rank, epoch, attempt, crashes, worker, need_left, not_before, "
    "expires_at, cancel_requested, registered_at, retention, max_crashes, due, flags, lane) "
    "VALUES (?,?,?,?,?,0,0,0,0,?,?,?,0,?,?,?,?,?,?)"
)
_NEW, _DELAYED, _DEPENDENCIES = int(Reason.NEW), int(Reason.DELAYED), int(Reason.DEPENDENCIES)


class Repeated(Exception):
    """Some of the items are known already: each has to be looked at."""


def is_plain(items: Sequence[Submission]) -> bool:
    """Whether nothing in `items` depends on what the store holds, but for their ids."""
    return not any(item.after or item.dedupe for item in items)


def check(items: Sequence[Submission]) -> None:
    """Refuse what no store can keep, before anything is written.

    Raises:
        InvalidGate: gates or a flow make no sense.
    """
    for item in items:
        if item.gates or item.flow is not None:
            checked(item.gates, item.flow)


def submit_plain(unit: Unit, items: Sequence[Submission]) -> list[SubmitReply]:
    """Create invocations of which none is likely to be known, all at once.

    Raises:
        Repeated: one is known, or a parent lost its fence; roll back and use `submit_each`.
    """
    maker = _Maker(unit)
    if not all(maker.holds(item.parent) for item in items):
        raise Repeated
    calls, lives = [], []
    for item in items:
        call, live = maker.rows(item, 0)
        calls.append(call)
        lives.append(live)
    if maker.gated:
        lives = _in_lanes(unit, maker.gated, lives)
    if maker.first_due is not None:
        unit.due_at(maker.first_due)
    try:
        unit.connection.executemany(_INSERT_CALL, calls)
        unit.connection.executemany(_INSERT_LIVE, lives)
    except sqlite3.IntegrityError as error:
        raise Repeated from error
    maker.keep_sequence()
    for queue, number in maker.tokens.items():
        unit.wake_for(queue, number)
    return [SubmitReply(SubmitVerdict.CREATED, item.invocation_id) for item in items]


def _in_lanes(unit: Unit, calls: dict[InvocationId, GatedCall], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Queue what is gated and about to be written; return the rows with their lanes."""
    lanes = unit.gating.lanes
    new = {row[0] for row in rows}
    if any(call.parent in new for call in calls.values()):
        # The gates of a parent cannot be found before it is there.
        raise Repeated
    lanes.calls.update(calls)
    entering = {}
    for place, row in enumerate(rows):
        call = calls.get(row[0])
        if call is not None and row[1] == READY:
            live, lenders = _live_of(row), lanes.lenders_of(call)
            entering[place] = (lane_key(live.queue, call, lenders), live, call, lenders)
    lanes.load_keys(key for key, *_ in entering.values())
    placed = list(rows)
    for place, (key, live, call, lenders) in entering.items():
        if unit.gating.settle_in(live, lanes.enter_under(key, live, call, lenders)):
            unit.wake_for(live.queue)
        placed[place] = (*rows[place][:-1], live.lane)
    return placed


def _live_of(row: tuple[Any, ...]) -> Live:
    """Return a row of `_INSERT_LIVE` as the record it will be."""
    need_left, not_before, expires, registered, *rest = row[5:]
    waiting = (need_left, not_before, expires, None, 0, registered)
    columns: tuple[Any, ...] = (*row[:5], *(0, 0, 0, None, 0), *waiting, *(None, None, None), *rest)
    return Live(*columns)


def submit_each(unit: Unit, items: Sequence[Submission]) -> list[SubmitReply]:
    """Create invocations one after the other; later ones see earlier ones."""
    maker = _Maker(unit)
    replies = [_submit_one(unit, maker, item) for item in items]
    maker.keep_sequence()
    return replies


def _submit_one(unit: Unit, maker: _Maker, item: Submission) -> SubmitReply:
    connection = unit.connection
    if connection.execute("SELECT 1 FROM call WHERE id = ?", (item.invocation_id,)).fetchone():
        return SubmitReply(SubmitVerdict.EXISTING, item.invocation_id)
    if not maker.holds(item.parent):
        return SubmitReply(SubmitVerdict.STALE_PARENT, item.invocation_id)
    after = list(dict.fromkeys(item.after))
    unit.load(after)
    ended = [each for each in after if unit.live(each) is None]
    outcomes = unit.outcomes(ended)
    for each in ended:
        if each not in outcomes:
            return SubmitReply(SubmitVerdict.UNKNOWN_DEPENDENCY, each)
    if item.dedupe is not None:
        holder = holder_of(unit, item.dedupe.key)
        if holder is not None:
            return SubmitReply(held(unit, holder, item, item.dedupe), holder.id)
    _create(unit, maker, item, outlook(item, {each: outcome.status for each, outcome in outcomes.items()}))
    return SubmitReply(SubmitVerdict.CREATED, item.invocation_id)


def _create(unit: Unit, maker: _Maker, item: Submission, view: Outlook) -> None:
    call, row = maker.rows(item, view.need)
    unit.connection.execute(_INSERT_CALL, call)
    unit.connection.execute(_INSERT_LIVE, row)
    if item.dedupe is not None:
        take_key(unit, item.invocation_id, item.dedupe)
    unit.forget_one(item.invocation_id)
    live = unit.live(item.invocation_id)
    assert live is not None
    if view.broken:
        end(unit, live, fallen_status(item.after_policy), reason=view.broken)
        unit.flush()
        return
    if view.awaited:
        add_edges(unit, item.invocation_id, view.awaited)
    if live.due is not None:
        unit.due_at(live.due)
    if live.state == READY and live.flags & GATED:
        unit.placed(live)
    elif live.state == READY:
        unit.wake_for(live.queue)


class _Maker:
    """Makes rows from submissions; remembers parents and the sequence for the length of one unit."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._connection = unit.connection
        self._sequence: int | None = None
        self._taken = 0
        self._roots: dict[InvocationId, InvocationId] = {}
        self._fences: dict[Fence, bool] = {}
        self.gated: dict[InvocationId, GatedCall] = {}
        """What of the calls made so far has gates or a flow."""
        self.tokens: dict[int, int] = {}
        """How many of the rows made so far are READY, by queue."""
        self.first_due: int | None = None
        """The earliest timer among them."""

    def holds(self, fence: Fence | None) -> bool:
        """Whether the bearer of `fence` still owns its invocation; True without a fence."""
        if fence is None:
            return True
        if fence not in self._fences:
            live = self._unit.live(fence.invocation_id)
            self._fences[fence] = live is not None and live.owner == fence.session and live.epoch == fence.epoch
        return self._fences[fence]

    def rows(self, item: Submission, need: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the rows of `call` and `live`; `need`: for how many it waits first."""
        now = self._unit.now
        queue = self._unit.names.number(self._connection, item.queue, used=True)
        parent = item.parent.invocation_id if item.parent is not None else item.parent_id
        root = item.invocation_id if parent is None else self._root(parent)
        self._roots[item.invocation_id] = root
        key = self._key(item.key)
        delay = item.delay_from(now)
        not_before = now + delay if delay > 0 else None
        expires = None if item.expires_us is None else now + item.expires_us
        state, reason, due = READY, _NEW, expires
        if need:
            state, reason = BLOCKED, _DEPENDENCIES
        elif not_before is not None:
            state, reason = BLOCKED, _DELAYED
            due = not_before if expires is None else min(not_before, expires)
        flags = KEYED if item.dedupe is not None else 0
        gates = None
        if item.gates or item.flow is not None:
            call = GatedCall(tuple(sorted(item.gates, key=_by_name)), item.flow, parent)
            gates = encode_gates(call.gates, call.flow)
            self.gated[item.invocation_id] = call
            flags |= gate_flags(gates, parent)
        if state == READY and gates is None:
            self.tokens[queue] = self.tokens.get(queue, 0) + 1
        if due is not None and (self.first_due is None or due < self.first_due):
            self.first_due = due
        flags |= policy_flags(item.after_policy)
        return (
            (
                item.invocation_id,
                item.task_id,
                queue,
                item.language,
                item.arguments,
                item.policy,
                item.meta,
                parent,
                root,
                now,
                item.band,
                item.retention_us,
                item.max_crashes,
                gates,
            ),
            (
                item.invocation_id,
                state,
                reason,
                queue,
                item.band * BAND_UNIT + key,
                need,
                not_before,
                expires,
                now,
                item.retention_us,
                item.max_crashes,
                due,
                flags,
                None,
            ),
        )

    def _root(self, parent: InvocationId) -> InvocationId:
        root = self._roots.get(parent)
        if root is None:
            row = self._connection.execute("SELECT root FROM call WHERE id = ?", (parent,)).fetchone()
            root = self._roots[parent] = row[0] if row else parent
        return root

    def _key(self, wanted: int | None) -> int:
        """Return the order within the band; without one of its own it follows from the sequence."""
        if wanted is None:
            return self._next()
        return BAND_UNIT - 1 - self._next() if wanted == NEWEST_FIRST else wanted

    def _next(self) -> int:
        if self._sequence is None:
            self._sequence = read_sequence(self._connection)
        self._taken += 1
        return self._sequence + self._taken - 1

    def keep_sequence(self) -> None:
        """Write how far the sequence came."""
        advance_sequence(self._connection, self._taken)


def _by_name(gate: Gate) -> str:
    return gate.name


def read_sequence(connection: sqlite3.Connection) -> int:
    """Return the next number of the store's order of submission."""
    number: int = connection.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()[0]
    return number


def advance_sequence(connection: sqlite3.Connection, taken: int) -> None:
    """Note that so many numbers were taken."""
    if taken:
        connection.execute("UPDATE meta SET value = value + ? WHERE name = 'sequence'", (taken,))
