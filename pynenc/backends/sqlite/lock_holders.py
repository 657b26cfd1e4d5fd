"""Naming the process that holds a store's write lock, where the system tells."""

from __future__ import annotations

import os
from pathlib import Path

_WRITE_LOCK_BYTE = 120
"""Of the -shm file, see "WAL locks" in SQLite's description of the WAL-index format."""


def who_writes(path: str) -> str:
    """Return a clause for an error message about a lock that is held for too long."""
    pid = _holder(path)
    if pid is None:
        return "another process is writing or is stopped in the middle of it"
    return f"process {pid}{_name(pid)} holds its write lock"


def _holder(path: str) -> int | None:
    try:
        inode = os.stat(f"{path}-shm").st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        # 1: POSIX  ADVISORY  WRITE 4242 fe:01:1234 120 120
        if len(fields) == 8 and fields[3] == "WRITE" and fields[5].endswith(f":{inode}"):
            first, last = int(fields[6]), fields[7]
            if first <= _WRITE_LOCK_BYTE and (last == "EOF" or int(last) >= _WRITE_LOCK_BYTE):
                return int(fields[4])
    return None


def _name(pid: int) -> str:
    try:
        return f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return ""
