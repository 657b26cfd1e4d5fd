"""The structural invariants I1-I8 as queries, and rebuilding what follows from the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynenc.backends.sqlite.ending import hand_back, met
from pynenc.backends.sqlite.gate_verifying import gate_violations, rebuild_lanes, rebuild_units
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.backends.sqlite.rows import AWAITED, KEYED, WATCHED
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.records import Violation
from pynenc.model.status import Reason

_DUE = (
    "CASE WHEN state = 3 THEN wait_until WHEN state = 2 OR (state = 1 AND owner IS NOT NULL) THEN NULL "
    "WHEN state = 0 AND need_left = 0 AND not_before IS NOT NULL THEN "
    "min(not_before, coalesce(expires_at, not_before)) ELSE expires_at END"
)
_EDGES = "(SELECT count(*) FROM wait WHERE waiter = live.id)"
_WAITING = "(state IN (0, 3) AND need_left > 0)"
_OWNER_LIVES = "EXISTS (SELECT 1 FROM session WHERE session.id = live.owner AND session.ended_at IS NULL)"

_CHECKS = (
    ("I1", "SELECT id, 'in no known state: ' || state FROM live WHERE state NOT IN (0, 1, 2, 3)"),
    ("I2", f"SELECT id, 'owner ' || owner || ' has ended' FROM live WHERE owner IS NOT NULL AND NOT {_OWNER_LIVES}"),
    ("I2", "SELECT id, 'owned or suspended without an owner' FROM live WHERE state IN (2, 3) AND owner IS NULL"),
    ("I2", "SELECT id, 'blocked, but owned by ' || owner FROM live WHERE state = 0 AND owner IS NOT NULL"),
    (
        "I3",
        "SELECT id, 'control record and outcome: both or neither' FROM call WHERE "
        "EXISTS (SELECT 1 FROM live WHERE live.id = call.id) = "
        "EXISTS (SELECT 1 FROM outcome WHERE outcome.id = call.id)",
    ),
    ("I3", "SELECT id, 'a control record without its call' FROM live WHERE id NOT IN (SELECT id FROM call)"),
    ("I3", "SELECT id, 'an outcome without its call' FROM outcome WHERE id NOT IN (SELECT id FROM call)"),
    (
        "I6",
        f"SELECT id, 'needs ' || need_left || ' of ' || {_EDGES} FROM live WHERE {_WAITING} AND need_left > {_EDGES}",
    ),
    (
        "I6",
        f"SELECT id, 'waits not, but has edges' FROM live WHERE NOT {_WAITING} AND (need_left <> 0 OR {_EDGES} > 0)",
    ),
    ("I6", "SELECT id, 'suspended without anything to wait for' FROM live WHERE state = 3 AND need_left = 0"),
    ("I6", "SELECT waiter, 'waits for something that is final' FROM wait WHERE waited NOT IN (SELECT id FROM live)"),
    ("I6", "SELECT waiter, 'final, but still waiting' FROM wait WHERE waiter NOT IN (SELECT id FROM live)"),
    (
        "I6",
        f"SELECT id, 'does not know who waits for it' FROM live WHERE NOT flags & {AWAITED} "
        "AND id IN (SELECT waited FROM wait)",
    ),
    (
        "I6",
        f"SELECT id, 'does not know who watches it' FROM live WHERE NOT flags & {WATCHED} "
        "AND id IN (SELECT id FROM watch)",
    ),
    ("I6", f"SELECT id, 'does not know its key' FROM live WHERE NOT flags & {KEYED} AND id IN (SELECT id FROM dedupe)"),
    ("I7", f"SELECT id, 'due at another time than its timer' FROM live WHERE due IS NOT ({_DUE})"),
    (
        "I7",
        "SELECT id, 'blocked with nothing to wait for' FROM live WHERE state = 0 AND need_left = 0 "
        "AND not_before IS NULL",
    ),
    ("I8", "SELECT id, 'attempt ' || attempt || ' at epoch ' || epoch FROM live WHERE attempt NOT BETWEEN 0 AND epoch"),
    (
        "I8",
        "SELECT id, 'an attempt of a later epoch' FROM live WHERE epoch < "
        "(SELECT max(epoch) FROM attempt WHERE attempt.id = live.id)",
    ),
)


def verify(connection: Any, names: QueueNames, now: int) -> list[Violation]:
    """Return every broken invariant."""
    found = list(_index_damage(connection))
    for invariant, statement in _CHECKS:
        found += [Violation(invariant, row[0], row[1]) for row in connection.execute(statement)]
    if connection.execute("SELECT 1 FROM queue WHERE gated LIMIT 1").fetchone():
        found += gate_violations(connection, names, now)
    return found


def _index_damage(connection: Any) -> Iterator[Violation]:
    """I1 holds by the definition of the indexes, unless the file is damaged."""
    for (line,) in connection.execute("PRAGMA integrity_check('live')"):
        if line != "ok":
            yield Violation("I1", None, line)


def repair(unit: Unit) -> None:
    """Rebuild what follows from the records: indexes, owners, edges, flags, timers."""
    connection = unit.connection
    for table in ("live", "lane", "share", "resuming", "holder"):
        connection.execute(f"REINDEX {table}")
    for table, column, bit in (("wait", "waited", AWAITED), ("watch", "id", WATCHED), ("dedupe", "id", KEYED)):
        connection.execute(f"UPDATE live SET flags = flags | {bit} WHERE id IN (SELECT {column} FROM {table})")
    connection.execute(
        "DELETE FROM wait WHERE waited NOT IN (SELECT id FROM live) OR waiter NOT IN (SELECT id FROM live "
        "WHERE state IN (0, 3))"
    )
    connection.execute("UPDATE live SET need_left = 0 WHERE state IN (1, 2)")
    rebuild_units(unit)
    _hand_back_orphans(unit)
    _count_waits(unit)
    rebuild_lanes(unit)
    unit.flush()
    connection.execute(f"UPDATE live SET due = {_DUE} WHERE due IS NOT ({_DUE})")


def _hand_back_orphans(unit: Unit) -> None:
    rows = unit.connection.execute(
        f"SELECT id FROM live WHERE (owner IS NOT NULL AND NOT {_OWNER_LIVES}) OR (state IN (2, 3) AND owner IS NULL) "
        "ORDER BY id"
    ).fetchall()
    for (each,) in rows:
        live = unit.live(each)
        if live is not None:
            hand_back(unit, live, Reason.RUNNER_LOST_PENDING)
    unit.flush()


def _count_waits(unit: Unit) -> None:
    """Let go on what waits for more than there is to wait for."""
    rows = unit.connection.execute(
        f"SELECT id, {_EDGES} FROM live WHERE state IN (0, 3) AND (need_left > {_EDGES} "
        "OR (state = 3 AND need_left = 0) OR (state = 0 AND need_left = 0 AND not_before IS NULL)) ORDER BY id"
    ).fetchall()
    for each, edges in rows:
        live = unit.live(each)
        if live is not None:
            live.need_left = edges
            if edges:
                unit.changed(live)
            else:
                met(unit, live)
