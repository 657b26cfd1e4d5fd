"""The whole state in the canonical form that `pynenc.backends.memory.dump` describes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pynenc.backends.canonical import plain, session_fields, without_id
from pynenc.backends.sqlite.gate_facts import dump_gates, parked_gates
from pynenc.backends.sqlite.messages import read_inbox
from pynenc.backends.sqlite.queries import paused_queues, snapshots
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.rows import (
    ATTEMPT_COLUMNS,
    LIVE_COLUMNS,
    OUTCOME_COLUMNS,
    Live,
    attempt_of,
    control_of,
    outcome_of,
)
from pynenc.backends.sqlite.sessions import session_rows


def dump(connection: Any, names: QueueNames, now: int) -> dict[str, Any]:
    """Return the canonical form of the store."""
    gates = dump_gates(connection, now)
    ids = [row[0] for row in connection.execute("SELECT id FROM call ORDER BY id")]
    calls = [known.call for known in snapshots(connection, names, ids) if known is not None]
    lives = [Live(*row) for row in connection.execute(f"SELECT {LIVE_COLUMNS} FROM live ORDER BY id")]
    outcomes = [outcome_of(row) for row in connection.execute(f"SELECT {OUTCOME_COLUMNS} FROM outcome ORDER BY id")]
    sessions = session_rows(connection)
    inboxes = {str(row.session): plain(read_inbox(connection, row.session)) for row in sessions}
    parked = parked_gates(connection, lives)
    return {
        **({"gates": gates} if gates else {}),
        "calls": {call.invocation_id.hex(): without_id(call) for call in calls},
        "controls": {live.id.hex(): plain(control_of(live, parked.get(live.id))) for live in lives},
        "outcomes": {outcome.invocation_id.hex(): without_id(outcome) for outcome in outcomes},
        "attempts": _attempts(connection),
        "waits": _lists(connection.execute("SELECT waiter, waited FROM wait ORDER BY waiter, waited")),
        "dedupe": {
            key.hex(): each.hex() for key, each in connection.execute("SELECT key, id FROM dedupe ORDER BY key")
        },
        "sessions": {str(row.session): session_fields(row) for row in sessions},
        "inbox": {number: messages for number, messages in inboxes.items() if messages},
        "watches": _lists(connection.execute("SELECT session, id FROM watch ORDER BY session, id")),
        "progress": {
            each.hex(): body.hex() for each, body in connection.execute("SELECT id, body FROM progress ORDER BY id")
        },
        "paused": [plain(each) for each in paused_queues(connection)],
    }


def _attempts(connection: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in connection.execute(f"SELECT id, {ATTEMPT_COLUMNS} FROM attempt ORDER BY id, position"):
        found.setdefault(row[0].hex(), []).append(plain(attempt_of(row[1:])))
    return found


def _lists(pairs: Iterable[tuple[Any, bytes]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key.hex() if isinstance(key, bytes) else str(key), []).append(value.hex())
    return found
