"""The whole state in canonical form; see the memory store's `dump`."""

from __future__ import annotations

from typing import Any

from pynenc.backends.canonical import plain, session_fields, without_id
from pynenc.backends.postgresql.database import Database
from pynenc.backends.postgresql.gates import setting_of
from pynenc.backends.postgresql.rows import message_of, session_of, snapshot_of, stats_of
from pynenc.io import Op

_CHUNK = 500


def dump(database: Database) -> Op[dict[str, Any]]:
    """Return the canonical form, gathered a part at a time: exact while nobody writes."""
    state: dict[str, Any] = {
        name: {} for name in ("calls", "controls", "outcomes", "attempts", "waits", "dedupe", "watches", "progress")
    }
    after, more = None, True
    while more:
        ids = yield from database.call("ids(bytea, integer)", after, _CHUNK)
        rows = yield from database.call("snapshots(bytea[])", [row[0] for row in ids])
        for row in rows:
            _add(state, row)
        after, more = ids[-1][0] if ids else None, len(ids) == _CHUNK
    sessions = yield from database.call("list_sessions(boolean)", False)
    state["sessions"] = {str(row[0]): session_fields(session_of(row)) for row in sessions}
    state["inbox"] = {}
    for session in sessions:
        messages = yield from database.call("peek_inbox(bigint)", session[0])
        if messages:
            state["inbox"][str(session[0])] = [plain(message_of(row)) for row in messages]
    stats = yield from database.call("queue_stats")
    state["paused"] = [plain(each.pause) for each in map(stats_of, stats) if each.pause is not None]
    for what, number, one, other in (yield from database.call("dump_rest")):
        if what == "dedupe":
            state["dedupe"][one.hex()] = other.hex()
        elif what == "waits":
            state["waits"].setdefault(one.hex(), []).append(other.hex())
        else:
            state["watches"].setdefault(str(number), []).append(one.hex())
    gates: dict[str, Any] = {}
    for part, name, facts in (yield from database.call("dump_gates")):
        gates.setdefault(part, {})[name] = facts
    settings = yield from database.call("list_gates")
    if settings:
        gates["settings"] = {row[0]: plain(setting_of(row)) for row in settings}
    return {**state, "gates": gates} if gates else state


def _add(state: dict[str, Any], row: tuple[Any, ...]) -> None:
    snapshot = snapshot_of(row)
    name = snapshot.call.invocation_id.hex()
    state["calls"][name] = without_id(snapshot.call)
    if snapshot.control is not None:
        state["controls"][name] = plain(snapshot.control)
    if snapshot.outcome is not None:
        state["outcomes"][name] = without_id(snapshot.outcome)
    if snapshot.attempts:
        state["attempts"][name] = [plain(each) for each in snapshot.attempts]
    if snapshot.progress:
        state["progress"][name] = snapshot.progress.hex()
