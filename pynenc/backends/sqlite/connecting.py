"""Opening one connection: the file and its folder, the pragmas, and whether it is a store at all."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

from pynenc.backends.sqlite.faults import read_only
from pynenc.backends.sqlite.location import Location
from pynenc.errors import ConfigurationError, StoreReadOnly, StoreUnavailable

OLDEST_SQLITE = (3, 35, 0)
"""The first one with RETURNING."""

_SYNCHRONOUS = {"none": "OFF", "normal": "NORMAL", "full": "FULL"}
# In benchmarks/store_loop.py none of these made a difference beyond noise (log of 1,000 to 8,000 pages, cache of 2 to
# 64 MiB, memory-mapped or not). So: a log of 16 MiB, for fewer syncs on slow disks; a cache for the indexes of long
# queues; no memory map, with which a truncated file ends the process with SIGBUS; `secure_delete` as SQLite itself has
# it, some distributions turn it on.
_PRAGMAS = (
    "PRAGMA cache_size = -16384",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = OFF",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA busy_timeout = 0",
)
# Closing a descriptor drops every POSIX lock of the process on that file, so none may be closed beside SQLite.
_creating = threading.Lock()


def check_version() -> None:
    """Refuse a SQLite library that lacks what the statements here use.

    Raises:
        ConfigurationError: it is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python comes with SQLite {sqlite3.sqlite_version}; a sqlite:// store needs 3.35 or newer. "
            "Use a newer Python build or another store."
        )


def create_file(path: str) -> None:
    """Make the file (0600) and its folders (0700) unless they exist.

    Raises:
        StoreReadOnly: this process may not.
        StoreUnavailable: the path cannot be a file.
    """
    if os.path.exists(path):
        return
    with _creating:
        try:
            create_folders(Path(path).parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            if not os.path.exists(path):
                raise StoreUnavailable(f"the store {path} cannot be created: a part of its path is a file") from None
        except PermissionError as error:
            raise read_only(path) from error
        except OSError as error:
            if error.errno == 30:  # EROFS
                raise StoreReadOnly(f"the store {path} cannot be created: its file system is read-only") from error
            raise StoreUnavailable(f"the store {path} cannot be created: {error.strerror}") from error


def create_folders(folder: Path) -> None:
    """Make a folder and those above it, for this user only, unless they exist."""
    if folder.is_dir():
        return
    create_folders(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise


def connect(location: Location, *, writer: bool) -> sqlite3.Connection:
    """Return a connection to an existing file, with pragmas that do not touch the file."""
    connection = sqlite3.connect(
        f"file:{quote(location.path)}?mode=rw",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[location.durability]}")
        if not writer:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection
