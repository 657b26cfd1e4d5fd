"""Bringing a file to the schema of this release: numbered scripts, once each, whoever comes first."""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import resources

from pynenc.errors import SchemaTooNew, StoreCorrupted, StoreUnavailable

APPLICATION_ID = 0x50594E43
"""`PYNC` in the file's header: what tells a store from any other SQLite file."""


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return (version, script) of every migration, in order. `pre` ones run before new code is deployed."""
    folder = resources.files("pynenc.backends.sqlite") / "schema"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((int(name.split("_")[0]), (folder / name).read_text("utf-8")) for name in names)


def latest_version() -> int:
    """Return the schema version that this release writes."""
    return migrations()[-1][0]


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file is a store of exactly this schema; False for an empty file or an older schema.

    Call it inside a transaction: read one by one, what it reads could lie on both sides of another process's
    migration, and look like a foreign file.

    Raises:
        StoreCorrupted: it is a SQLite file of somebody else.
        SchemaTooNew: a newer release wrote it.
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
    if version > latest_version():
        raise SchemaTooNew(
            f"the store {path} has schema {version}, this release knows up to {latest_version()}: a newer "
            "release wrote it. Upgrade Pynenc here, or use another path."
        )
    return version == latest_version()


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


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Apply what is missing. The caller holds the write lock: in a racing process nothing is left to do."""
    if is_current(connection, path):
        return
    present = _number(connection, "PRAGMA user_version")
    for version, script in migrations():
        if version > present:
            for statement in statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


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
