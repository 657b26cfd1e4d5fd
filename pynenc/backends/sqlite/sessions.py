"""Sessions: proof of life, and what becomes of their work when they end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from pynenc.backends.sqlite.ending import crash, hand_back
from pynenc.backends.sqlite.rows import LIVE_COLUMNS, OWNED, Live
from pynenc.backends.sqlite.unit import Unit
from pynenc.errors import SessionGone
from pynenc.model.ids import Epoch, SessionId
from pynenc.model.records import Owned, SessionInfo, SessionRow
from pynenc.model.status import Reason, State

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SessionInfo)

_SESSION_ROWS = (
    "SELECT id, info, opened_at, expires_at, ended_at, "
    "(SELECT count(*) FROM live WHERE owner = session.id), "
    "(SELECT count(*) FROM live WHERE owner = session.id AND state = 2) FROM session "
)


def open_session(unit: Unit, info: SessionInfo, lease_us: int) -> SessionId:
    """Register a process incarnation under a number that was never used."""
    number: int = unit.connection.execute(
        "INSERT INTO session (info, doorbell, lease, opened_at, expires_at) VALUES (?,?,?,?,?) RETURNING id",
        (_encoder.encode(info), info.doorbell, lease_us, unit.now, unit.now + lease_us),
    ).fetchone()[0]
    return SessionId(number)


def lease_of(unit: Unit, session: int) -> int:
    """Return the lease of a session that has not ended.

    Raises:
        SessionGone: it has ended, or never was.
    """
    row = unit.connection.execute("SELECT lease, ended_at FROM session WHERE id = ?", (session,)).fetchone()
    if row is None or row[1] is not None:
        raise SessionGone(f"session {session} has ended; what it owned belongs to others now")
    lease: int = row[0]
    return lease


def renew(unit: Unit, session: int, lease_us: int) -> None:
    """Give a session its lease again."""
    unit.connection.execute("UPDATE session SET expires_at = ? WHERE id = ?", (unit.now + lease_us, session))


def renew_awake(unit: Unit, session: int, lease_us: int, idle_for: Sequence[str] | None) -> None:
    """Give a session its lease again, and note whether it goes to sleep now, ready for these queues."""
    unit.connection.execute(
        "UPDATE session SET expires_at = ?, idle_for = ? WHERE id = ?",
        (unit.now + lease_us, None if idle_for is None else json.dumps(idle_for), session),
    )


def tell(unit: Unit, session: int, info: SessionInfo) -> None:
    """Keep what a session tells of itself from now on."""
    unit.connection.execute("UPDATE session SET info = ? WHERE id = ?", (_encoder.encode(info), session))


def close_session(unit: Unit, session: int) -> str:
    """End a session in good order: everything goes back uncounted. Return its bell, "" if there is none."""
    row = unit.connection.execute("SELECT ended_at, doorbell FROM session WHERE id = ?", (session,)).fetchone()
    if row is None or row[0] is not None:
        return ""
    for live in _owned_records(unit, session):
        hand_back(unit, live, Reason.RELEASED)
    _end(unit, session)
    bell: str = row[1]
    return bell


def recover(unit: Unit, session: int) -> None:
    """End an expired session: what it ran runs again, counted as a crash where a body had begun."""
    for live in _owned_records(unit, session):
        if live.state != OWNED:
            hand_back(unit, live, Reason.RUNNER_LOST_RUNNING)
        elif live.started_at is None:
            hand_back(unit, live, Reason.RUNNER_LOST_PENDING)
        else:
            crash(unit, live, Reason.RUNNER_LOST_RUNNING, "runner lost")
    _end(unit, session)


def _owned_records(unit: Unit, session: int) -> list[Live]:
    unit.flush()
    ids = [row[0] for row in unit.connection.execute("SELECT id FROM live WHERE owner = ? ORDER BY id", (session,))]
    unit.load(ids)
    return [live for each in ids if (live := unit.live(each)) is not None]


def _end(unit: Unit, session: int) -> None:
    unit.flush()
    unit.deliver()
    connection = unit.connection
    connection.execute("UPDATE session SET ended_at = ?, idle_for = NULL WHERE id = ?", (unit.now, session))
    connection.execute("DELETE FROM watch WHERE session = ?", (session,))
    connection.execute("DELETE FROM inbox WHERE session = ?", (session,))


def list_owned(connection: Any, session: int) -> list[Owned]:
    """Return what a session owns, by id."""
    rows = connection.execute(f"SELECT {LIVE_COLUMNS} FROM live WHERE owner = ? ORDER BY id", (session,))
    lives = [Live(*row) for row in rows]
    return [Owned(live.id, Epoch(live.epoch), State(live.state), bool(live.cancel_requested)) for live in lives]


def session_rows(connection: Any, condition: str = "", arguments: Sequence[Any] = ()) -> list[SessionRow]:
    """Return the sessions a condition selects, by number."""
    return [_row_of(row) for row in connection.execute(f"{_SESSION_ROWS} {condition} ORDER BY id", arguments)]


def _row_of(row: tuple[Any, ...]) -> SessionRow:
    return SessionRow(
        session=row[0],
        info=_decoder.decode(row[1]),
        opened_at_us=row[2],
        expires_at_us=row[3],
        ended_at_us=row[4],
        owned=row[5],
        running=row[6],
    )
