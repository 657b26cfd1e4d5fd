"""SQLite's errors as ours, each with what to do about it. Never with the text of a statement or its values."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pynenc.errors import (
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnavailable,
)

_LEAST_FREE_BYTES = 256 * 1024
_PRIMARY = 0xFF

# Not in Python's sqlite3 before 3.11 under every build; the numbers are part of SQLite's file format promise.
BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB = 5, 6, 8, 10, 11, 13, 14, 15, 26
PERM, AUTH, NOMEM, TOOBIG = 3, 23, 7, 18


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 if the error is of Python's module."""
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    return code & _PRIMARY


def is_busy(error: sqlite3.Error) -> bool:
    """Whether trying again may succeed because somebody else only has to finish."""
    return primary_code(error) in (BUSY, LOCKED)


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """Return the error to raise instead of `error`."""
    code = primary_code(error)
    if code == FULL or (code in (IOERR, CANTOPEN) and _is_full(path)):
        return StoreFull(
            f"the store {path} is full: no space is left on its file system, or a quota or size limit is reached. "
            "Nothing of this operation was written and nothing was lost; free some space and try again."
        )
    if code in (READONLY, PERM, AUTH) or (code in (CANTOPEN, IOERR) and not _writable(path)):
        return read_only(path)
    if code in (CORRUPT, NOTADB):
        return _corrupted(path, code)
    if code in (BUSY, LOCKED):
        return StoreTimeout(f"the store {path} is locked by another process; nothing was done, try again.")
    return _unavailable(error, code, path)


def read_only(path: str) -> StoreReadOnly:
    """Return the error for a file or folder that this process may not write."""
    what = "its file" if os.path.exists(path) and not os.access(path, os.W_OK) else "its folder or file system"
    return StoreReadOnly(
        f"the store {path} cannot be written: {what} is read-only for user {_user()}. Nothing was done. Give this user "
        "the right to write the file and its folder (SQLite keeps two more files beside it), or use another path."
    )


def _corrupted(path: str, code: int) -> StoreCorrupted:
    if code == NOTADB:
        return StoreCorrupted(
            f"{path} is not a Pynenc store: it is no SQLite database, or its first bytes are damaged. "
            "Use another path, or restore the file from a backup."
        )
    return StoreCorrupted(
        f"the store {path} is damaged (SQLite finds malformed pages). Stop every process that uses it, keep a copy, "
        "then restore a backup or save what can be read with `sqlite3 FILE .recover`."
    )


def _unavailable(error: sqlite3.Error, code: int, path: str) -> StoreError:
    if code == CANTOPEN:
        return StoreUnavailable(
            f"the store {path} cannot be opened: check that the path is a file in a folder this process can reach, "
            "and that it has file descriptors left."
        )
    if code == IOERR:
        name = getattr(error, "sqlite_errorname", "SQLITE_IOERR")
        return StoreUnavailable(
            f"reading or writing the store {path} failed ({name}); check the disk and its messages. Network file "
            "systems do not lock reliably: keep the file on a local disk."
        )
    if code == PROTOCOL:
        return StoreUnavailable(f"the store {path} is locked in a way that never ends; is it on a network file system?")
    if code in (NOMEM, TOOBIG):
        return StoreError(f"the store {path} refused a value that is too large: {error}")
    return StoreError(f"the store {path} failed: {type(error).__name__}: {error}")


def _is_full(path: str) -> bool:
    """Whether a failed write looks like missing space; SQLite tells only for some of its files."""
    folder = Path(path).parent
    try:
        status = os.statvfs(folder)
    except (OSError, AttributeError):
        return False
    if status.f_bavail * status.f_frsize < _LEAST_FREE_BYTES:
        return True
    return _at_size_limit(path)


def _at_size_limit(path: str) -> bool:
    try:
        import resource
    except ImportError:
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return False
    sizes = [os.stat(name).st_size for name in (path, f"{path}-wal", f"{path}-shm") if os.path.exists(name)]
    # A write fails as a whole: the file ends up to one write below the limit.
    return any(size + _LEAST_FREE_BYTES >= limit for size in sizes)


def _writable(path: str) -> bool:
    folder = os.path.dirname(path)
    if os.path.exists(path) and not os.access(path, os.W_OK):
        return False
    return not os.path.isdir(folder) or os.access(folder, os.W_OK | os.X_OK)


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError, AttributeError):
        return "of this process"
