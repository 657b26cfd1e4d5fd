"""What a process uses: memory and processor time, as the kernel tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# Positions behind the name of the program, which may hold blanks and brackets: see proc(5).
_UTIME, _STIME, _RSS = 11, 12, 21


class Vitals(Struct, frozen=True):
    """One reading."""

    memory_bytes: int
    """Resident now."""
    cpu_s: float
    """User and system time so far, in steps of the kernel's clock (usually 10 ms)."""


def can_be_read() -> bool:
    """Whether `read_vitals` works on this system."""
    return (_PROC / "self" / "stat").exists()


def read_vitals(pid: int, thread: int | None = None) -> Vitals | None:
    """Return what a process uses, or one thread of it; None if it is gone or cannot be seen.

    Args:
        thread: as `threading.get_native_id` says. Memory is always that of the process.
    """
    place = _PROC / str(pid) if thread is None else _PROC / str(pid) / "task" / str(thread)
    try:
        text = (place / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    ticks = int(fields[_UTIME]) + int(fields[_STIME])
    return Vitals(int(fields[_RSS]) * _PAGE, ticks / _TICKS_PER_S)


def out_of_memory_kills() -> int:
    """Return how many processes of this control group the kernel killed for want of memory; 0 where it does not tell.

    Source: memory.events of cgroup v2, memory.oom_control of v1, in the documentation of the kernel.
    """
    for file in _memory_counters():
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def _memory_counters() -> Iterator[Path]:
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield _CGROUPS / path.lstrip("/") / "memory.events"
        elif "memory" in controllers.split(","):
            yield _CGROUPS / "memory" / path.lstrip("/") / "memory.oom_control"
