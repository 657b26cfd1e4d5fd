"""One unit of work: rows are loaded once, changed in memory and written together, then bells are rung.

Statements that search `live` or `outcome` by an index see only what was written: `flush` comes before them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from pynenc.backends.sqlite.gating import Gating
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.rows import (
    GATED,
    LIVE_COLUMNS,
    OUTCOME_COLUMNS,
    READY,
    STATUS_CODES,
    Live,
    outcome_of,
    select_in,
)
from pynenc.model.ids import InvocationId
from pynenc.model.records import Outcome
from pynenc.model.status import InvocationStatus, Reason

CANCEL_NOTICE, FINISHED_NOTICE = 0, 1

_SELECT_LIVE = f"SELECT {LIVE_COLUMNS} FROM live WHERE id IN (*)"
_SELECT_OUTCOMES = f"SELECT {OUTCOME_COLUMNS} FROM outcome WHERE id IN (*)"
_INSERT_OUTCOME = f"INSERT INTO outcome ({OUTCOME_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_UPDATE_LIVE = (
    "UPDATE live SET state=?, reason=?, rank=?, epoch=?, attempt=?, crashes=?, owner=?, worker=?, need_left=?, "
    "not_before=?, expires_at=?, wait_until=?, cancel_requested=?, claimed_at=?, started_at=?, suspended_at=?, due=?, "
    "flags=?, lane=? WHERE id=?"
)
_INSERT_ATTEMPT = (
    "INSERT INTO attempt (id, number, epoch, reason, session, worker, claimed_at, started_at, ended_at, error, detail, "
    "suspended_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
_INSERT_INBOX = "INSERT INTO inbox (session, kind, id, epoch, detail) VALUES (?,?,?,?,?)"


class Unit:
    """What one operation does between BEGIN and COMMIT."""

    __slots__ = (
        "_attempts",
        "_dirty",
        "_ended",
        "_finished",
        "_first_due",
        "_gating",
        "_inbox",
        "_live",
        "_rung",
        "_wakes",
        "connection",
        "names",
        "now",
        "overdue",
        "own_session",
    )

    def __init__(self, connection: sqlite3.Connection, now: int, names: QueueNames) -> None:
        self.connection = connection
        self.now = now
        self.names = names
        self.own_session: int | None = None
        """The session whose exchange this is: awake, so nobody has to wake it for work."""
        self.overdue = False
        """A timer was set to an instant that has passed."""
        self._live: dict[InvocationId, Live | None] = {}
        self._dirty: dict[InvocationId, Live] = {}
        self._ended: dict[InvocationId, tuple[Any, ...]] = {}
        self._finished: dict[InvocationId, Outcome] = {}
        self._attempts: list[tuple[Any, ...]] = []
        self._inbox: list[tuple[int | None, int, InvocationId, int, str]] = []
        self._wakes: list[int | None] = []
        self._rung: dict[int, None] = {}
        self._first_due: int | None = -1
        self._gating: Gating | None = None

    # --- reading ---

    def load(self, ids: Iterable[InvocationId]) -> None:
        """Read the control records of `ids` at once; `live` then finds them."""
        wanted = [each for each in dict.fromkeys(ids) if each not in self._live]
        if not wanted:
            return
        known = self._live
        for each in wanted:
            known[each] = None
        for row in select_in(self.connection, _SELECT_LIVE, wanted):
            known[row[0]] = Live(*row)

    def live(self, invocation_id: InvocationId) -> Live | None:
        """Return the control record, or None if it is final or unknown."""
        if invocation_id not in self._live:
            self.load((invocation_id,))
        return self._live[invocation_id]

    def outcomes(self, ids: Iterable[InvocationId]) -> dict[InvocationId, Outcome]:
        """Return the outcomes of those that are final."""
        found: dict[InvocationId, Outcome] = {}
        missing = []
        for each in ids:
            row = self._ended.get(each)
            if row is not None:
                found[each] = outcome_of(row)
            else:
                missing.append(each)
        if missing:
            for row in select_in(self.connection, _SELECT_OUTCOMES, missing):
                found[row[0]] = outcome_of(row)
        return found

    def ended_by(self, invocation_id: InvocationId) -> tuple[int, int] | None:
        """Return session and epoch of the outcome, None if there is none."""
        row = self._ended.get(invocation_id)
        if row is not None:
            return row[7], row[6]
        found: tuple[int, int] | None = self.connection.execute(
            "SELECT session, epoch FROM outcome WHERE id = ?", (invocation_id,)
        ).fetchone()
        return found

    # --- gates ---

    @property
    def gating(self) -> Gating:
        """Gates and lanes, of which a unit without gated work needs to know nothing."""
        if self._gating is None:
            self._gating = Gating(self)
        return self._gating

    # --- changing ---

    def adopt(self, live: Live) -> None:
        """Know a record that was just written."""
        self._live[live.id] = live

    def forget_one(self, invocation_id: InvocationId) -> None:
        """Read a record anew the next time: a statement has just written it."""
        self._live.pop(invocation_id, None)

    def changed(self, live: Live) -> None:
        """Have a changed record written, and wake whoever should hear of its new place."""
        due = live.compute_due()
        if due is not None and due != live.due:
            self.due_at(due)
            self.overdue = self.overdue or due <= self.now
        live.due = due
        self._dirty[live.id] = live

    def placed(self, live: Live) -> None:
        """`changed`, for one that may have become runnable: its token calls somebody."""
        self.changed(live)
        if live.state == READY:
            if live.owner is None:
                if not live.flags & GATED or self.gating.enter(live):
                    self._wakes.append(live.queue)
            else:
                self._rung[live.owner] = None

    def flag(self, ids: Iterable[InvocationId], bit: int) -> None:
        """Set a bit in the flags of live records."""
        unset = []
        for each in ids:
            live = self.live(each)
            if live is not None and not live.flags & bit:
                live.flags |= bit
                unset.append((bit, each))
        self.connection.executemany("UPDATE live SET flags = flags | ? WHERE id = ?", unset)

    def finish(
        self,
        live: Live,
        status: InvocationStatus,
        payload: bytes,
        reason: str,
        session: int,
        worker: int,
    ) -> None:
        """Replace a control record by an outcome."""
        now = self.now
        self._dirty.pop(live.id, None)
        self._live[live.id] = None
        self._ended[live.id] = (
            live.id,
            STATUS_CODES[status],
            payload,
            reason,
            live.attempt,
            live.crashes,
            live.epoch,
            session,
            worker,
            live.registered_at,
            live.claimed_at,
            live.started_at,
            now,
            None if live.retention is None else now + live.retention,
        )

    def write_attempt(self, live: Live, reason: Reason, *, error: bytes = b"", detail: str = "") -> None:
        """Record a stretch of an invocation's life that did not end in an outcome."""
        self._attempts.append(
            (
                live.id,
                live.attempt,
                live.epoch,
                int(reason),
                live.owner or 0,
                live.worker,
                live.registered_at if live.claimed_at is None else live.claimed_at,
                live.started_at,
                self.now,
                error,
                detail,
                live.suspended_at if reason is Reason.WAITED else None,
            )
        )

    # --- messages and bells ---

    def tell_finished(self, invocation_id: InvocationId) -> None:
        """Have everybody who watches an ended invocation told."""
        self._inbox.append((None, FINISHED_NOTICE, invocation_id, 0, ""))

    def tell_cancel(self, live: Live, detail: str) -> None:
        """Tell the owner to stop a run."""
        if live.owner is not None:
            self._inbox.append((live.owner, CANCEL_NOTICE, live.id, live.epoch, detail))
            self._rung[live.owner] = None

    def wake_for(self, queue: int, tokens: int = 1) -> None:
        """Wake up to `tokens` sleeping sessions that claim from a queue."""
        self._wakes.extend([queue] * tokens)

    def due_at(self, due: int) -> None:
        """Wake one sleeping session if a new timer is earlier than all others."""
        if self._first_due == -1:
            self._first_due = self.connection.execute("SELECT min(due) FROM live WHERE due IS NOT NULL").fetchone()[0]
        if self._first_due is None or due < self._first_due:
            self._first_due = due
            self._wakes.append(None)

    def ring(self, session: int) -> None:
        """Ring the bell of a session."""
        self._rung[session] = None

    # --- writing ---

    def flush(self) -> None:
        """Write what was changed so far."""
        connection = self.connection
        if self._dirty:
            connection.executemany(_UPDATE_LIVE, [_update_of(live) for live in self._dirty.values()])
            self._dirty.clear()
        if self._ended:
            connection.executemany("DELETE FROM live WHERE id = ?", [(each,) for each in self._ended])
            connection.executemany(_INSERT_OUTCOME, list(self._ended.values()))
            self._ended.clear()
        if self._attempts:
            connection.executemany(_INSERT_ATTEMPT, self._attempts)
            self._attempts.clear()
        if self._gating is not None:
            self._gating.flush()

    def flush_ended(self) -> bool:
        """`flush`; whether anything ended since the last time."""
        some = bool(self._ended)
        self.flush()
        return some

    def forget(self) -> None:
        """Drop what was read so far, because statements change it behind this object's back."""
        self._live.clear()
        self._gating = None

    def deliver(self) -> None:
        """Put messages into inboxes, in the order of what they tell of."""
        if not self._inbox:
            return
        messages, self._inbox = self._inbox, []
        finished = [message[2] for message in messages if message[1] == FINISHED_NOTICE]
        watchers: dict[InvocationId, list[int]] = {}
        if finished:
            for invocation_id, session in select_in(
                self.connection, "SELECT id, session FROM watch WHERE id IN (*) ORDER BY id, session", finished
            ):
                watchers.setdefault(invocation_id, []).append(session)
            self.connection.executemany("DELETE FROM watch WHERE id = ?", [(each,) for each in watchers])
        rows: list[tuple[int, int, InvocationId, int, str]] = []
        for session_or_none, kind, invocation_id, epoch, detail in messages:
            if session_or_none is None:
                for session in watchers.get(invocation_id, ()):
                    rows.append((session, kind, invocation_id, epoch, detail))
                    self._rung[session] = None
            else:
                rows.append((session_or_none, kind, invocation_id, epoch, detail))
        self.connection.executemany(_INSERT_INBOX, rows)

    def complete(self) -> list[str]:
        """Write everything that is left; return the addresses to ring once it is committed."""
        self.flush()
        self.deliver()
        self.wake()
        self._rung.pop(self.own_session or 0, None)
        if not self._rung:
            return []
        return [
            row[0]
            for row in select_in(
                self.connection,
                "SELECT DISTINCT doorbell FROM session WHERE id IN (*) AND ended_at IS NULL AND doorbell <> ''",
                list(self._rung),
            )
        ]

    def wake(self) -> None:
        """Take one sleeping session for each new token or timer."""
        wakes, self._wakes = self._wakes, []
        if not wakes:
            return
        sleeping = [
            (number, json.loads(queues))
            for number, queues in self.connection.execute(
                "SELECT id, idle_for FROM session WHERE idle_for IS NOT NULL ORDER BY id"
            )
            if number != self.own_session
        ]
        woken: list[int] = []
        for queue in wakes:
            if not sleeping:
                break
            name = None if queue is None else self.names.name(self.connection, queue)
            found = next((entry for entry in sleeping if name is None or serves(entry[1], name)), None)
            if found is not None:
                sleeping.remove(found)
                woken.append(found[0])
                self._rung[found[0]] = None
        self.connection.executemany("UPDATE session SET idle_for = NULL WHERE id = ?", [(each,) for each in woken])


def serves(queues: Iterable[str], queue: str) -> bool:
    """Whether a session that claims from `queues` claims from `queue`."""
    return queue in queues if queues else ":" not in queue


def _update_of(live: Live) -> tuple[Any, ...]:
    return (
        live.state,
        live.reason,
        live.rank,
        live.epoch,
        live.attempt,
        live.crashes,
        live.owner,
        live.worker,
        live.need_left,
        live.not_before,
        live.expires_at,
        live.wait_until,
        live.cancel_requested,
        live.claimed_at,
        live.started_at,
        live.suspended_at,
        live.due,
        live.flags,
        live.lane,
        live.id,
    )
