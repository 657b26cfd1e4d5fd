"""A log that no store knows of: bodies tell it what they do, and under which claim; whoever kills tells it whom.

Bodies find it in the file `FAULT_LOG`. All moments are of this machine's clock.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pynenc.context import current_run


def log(event: str, value: int = 0) -> None:
    """Append one line with one write, which the kernel does not interleave with others."""
    run = current_run.get()
    assert run is not None
    claim = run.claim
    place = f"{claim.invocation_id.hex()} {claim.session} {claim.epoch} {claim.attempt} {os.getpid()}"
    _append(os.environ["FAULT_LOG"], f"{event} {place} {time.time_ns() // 1000} {value}")


def kill_and_log(path: Path, pid: int) -> None:
    """End a worker as SIGKILL does, and log that it was alive until now; nothing if it has ended itself."""
    moment_us = time.time_ns() // 1000
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    _append(path, f"kill - - - - {pid} {moment_us} 0")


def _append(path: str | Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
