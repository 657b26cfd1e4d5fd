"""Bringing a file to the schema of this release: numbered scripts, once each, whoever comes first.

`pre` migrations only add to the tables: opening a file applies them, in order, and releases that do not know them go on
using it. `post` migrations take away what older releases need: `pynenc migrate --post` applies them, and releases that
do not know one of them refuse the file from then on. The file says what was done to it: `user_version` is the number
of the last `pre` migration, and `meta` has a row for each `post` one.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import resources
from typing import NamedTuple

from pynenc.errors import SchemaTooNew, StoreCorrupted, StoreUnavailable

APPLICATION_ID = 0x50594E43
"""`PYNC` in the file's header: what tells a store from any other SQLite file."""
_POST = "post migration "


class Migration(NamedTuple):
    """One step of the tables."""

    number: int
    is_post: bool
    name: str
    script: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration of this release, in order."""
    folder = resources.files("pynenc.backends.sqlite") / "schema"
    found = []
    for name in sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql")):
        number, when, _ = name.split("_", 2)
        found.append(Migration(int(number), when == "post", name, (folder / name).read_text("utf-8")))
    return tuple(found)


def latest_version() -> int:
    """Return the schema version that this release writes."""
    return max(each.number for each in migrations() if not each.is_post)


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file is a store with all that this release needs; False for an empty file or an older schema.

    Call it inside a transaction: read one by one, what it reads could lie on both sides of another process's
    migration, and look like a foreign file.

    Raises:
        StoreCorrupted: it is a SQLite file of somebody else.
        SchemaTooNew: a newer release took away what this one needs.
    """
    # The first read of a table takes the snapshot; a pragma alone does not in every version.
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if application != APPLICATION_ID:
        if application or version or tables:
            raise StoreCorrupted(
                f"{path} is not a Pynenc store: it is a SQLite file of another program. Use another path."
            )
        return False
    unknown = _post_applied(connection) - {each.number for each in migrations() if each.is_post}
    if unknown:
        raise SchemaTooNew(
            f"a newer release of Pynenc took away from the store {path} what this one needs (migration "
            f"{max(unknown)}). Upgrade Pynenc here, or use another path."
        )
    return version >= latest_version()


def _post_applied(connection: sqlite3.Connection) -> set[int]:
    rows = connection.execute("SELECT value FROM meta WHERE name GLOB ?", (f"{_POST}*",))
    return {number for (number,) in rows}


def use_write_ahead_log(connection: sqlite3.Connection, path: str) -> None:
    """Switch the file to WAL if it is not; raises BUSY while somebody else does that.

    Raises:
        StoreUnavailable: the file system cannot.
    """
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreUnavailable(
            f"the store {path} is on a file system without shared memory, which SQLite's write-ahead log needs "
            "(a network share?). Keep the file on a local disk."
        )


def migrate(connection: sqlite3.Connection, path: str) -> list[str]:
    """Add what is missing; return what was done. The caller holds the write lock: a racing process finds nothing left.

    Raises:
        SchemaTooNew: see `is_current`.
    """
    if is_current(connection, path):
        return []
    present = _number(connection, "PRAGMA user_version")
    missing = [each for each in migrations() if not each.is_post and each.number > present]
    for migration in missing:
        _apply(connection, migration)
        connection.execute(f"PRAGMA user_version = {migration.number}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return [each.name for each in missing]


def finish(connection: sqlite3.Connection) -> list[str]:
    """Take away what only older releases need; return what was done. The caller holds the write lock."""
    applied = _post_applied(connection)
    missing = [each for each in migrations() if each.is_post and each.number not in applied]
    for migration in missing:
        _apply(connection, migration)
        connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?)", (f"{_POST}{migration.number}", migration.number)
        )
    return [each.name for each in missing]


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in statements(migration.script):
        connection.execute(statement)


def statements(script: str) -> list[str]:
    """Split a script; `executescript` would end the transaction."""
    found = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def _number(connection: sqlite3.Connection, statement: str) -> int:
    value: int = connection.execute(statement).fetchone()[0]
    return value
