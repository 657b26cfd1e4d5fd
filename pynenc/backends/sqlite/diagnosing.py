"""What `pynenc doctor` says about the file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from typing import Any

from pynenc.backends.sqlite.migrating import latest_version
from pynenc.backends.sqlite.requests import View
from pynenc.backends.sqlite.verifying import verify
from pynenc.ports.backend import Finding

_LITTLE_SPACE_BYTES = 512 * 1024 * 1024
_LARGE_LOG_BYTES = 256 * 1024 * 1024
_NAMED = 20


def diagnose(view: View, path: str, size: int) -> list[Finding]:
    """Check the file, its surroundings and the invariants."""
    return [
        Finding(
            level="ok",
            subject="SQLite",
            detail=f"{path}: {size / 1e6:.1f} MB, schema {latest_version()}, SQLite {sqlite3.sqlite_version}",
        ),
        *_pages(view.connection, path),
        *_space(path),
        *_log(path),
        *_invariants(view),
    ]


def _pages(connection: Any, path: str) -> Iterator[Finding]:
    damage = [row[0] for row in connection.execute(f"PRAGMA quick_check({_NAMED})") if row[0] != "ok"]
    for line in damage:
        yield Finding(
            level="error",
            subject="damaged pages",
            detail=line,
            remedy=f"stop all processes, copy {path}, restore a backup or run `sqlite3 {path} .recover`",
        )


def _space(path: str) -> Iterator[Finding]:
    free = shutil.disk_usage(os.path.dirname(path)).free
    if free < _LITTLE_SPACE_BYTES:
        yield Finding(
            level="warning",
            subject="disk space",
            detail=f"{free / 1e6:.0f} MB are left beside {path}",
            remedy="free some space: a full disk stops every submission",
        )


def _log(path: str) -> Iterator[Finding]:
    try:
        size = os.path.getsize(f"{path}-wal")
    except OSError:
        return
    if size > _LARGE_LOG_BYTES:
        yield Finding(
            level="warning",
            subject="write-ahead log",
            detail=f"{size / 1e6:.0f} MB: a reader that never ends keeps it from being folded in",
            remedy="look for a process with a long read on the file, such as an open sqlite3 shell",
        )


def _invariants(view: View) -> Iterator[Finding]:
    broken = verify(view.connection, view.names, view.now)
    for violation in broken[:_NAMED]:
        name = violation.invocation_id.hex() if violation.invocation_id else ""
        yield Finding(
            level="error",
            subject=f"invariant {violation.invariant}",
            detail=f"{name} {violation.detail}".strip(),
            remedy="run the repair of `pynenc doctor`",
        )
    if len(broken) > _NAMED:
        yield Finding(level="error", subject="invariants", detail=f"{len(broken) - _NAMED} more are broken")
