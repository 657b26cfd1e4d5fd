"""What a worker process leaves behind, however it dies: its last log lines, and where its threads stood.

Both are in memory that outlives the process. Log lines go to a ring. Stacks are written by the C part of
`faulthandler`, which needs no interpreter lock: on a crash by itself, on the signal `STACKS` for a body that is stuck.
"""

from __future__ import annotations

import faulthandler
import logging
import mmap
import os
import signal
from struct import Struct as Layout

from pynenc.logs.context import ContextFilter
from pynenc.logs.formatters import TextFormatter
from pynenc.runners.shared_memory import new_memory

STACKS = signal.SIGUSR2
"""Makes a worker write where its threads stand."""

_HEAD = Layout(">Q")
_RING = 8 * 1024
_LONGEST_LINE = 512
_LONGEST_STACKS = 256 * 1024
_LONGEST_SHOWN = 8 * 1024
# How functions of ours look in a dump.
_BODY, _PARKED = "body_threads.py", " in stand\n"


class BlackBox:
    """Seen from the runner: made before the worker starts, read when it is over."""

    def __init__(self) -> None:
        self.lines_fd = new_memory("pynenc-lines", _HEAD.size + _RING)
        try:
            self.stacks_fd = new_memory("pynenc-stacks", 0)
        except OSError:
            os.close(self.lines_fd)
            raise

    @property
    def descriptors(self) -> tuple[int, int]:
        """What the worker inherits."""
        return self.lines_fd, self.stacks_fd

    def last_lines(self, most: int = 20) -> tuple[str, ...]:
        """Return the last log records, oldest first."""
        with mmap.mmap(self.lines_fd, _HEAD.size + _RING) as memory:
            (written,) = _HEAD.unpack_from(memory)
            ring = memory[_HEAD.size :]
        position = written % _RING
        data = ring[position:] + ring[:position] if written > _RING else ring[:written]
        lines = data.decode("utf-8", "replace").split("\n")
        # The oldest one may have been written over in part; behind the last there is nothing.
        whole = lines[1:-1] if written > _RING else lines[:-1]
        return tuple(whole[-most:])

    def stacks(self) -> str:
        """Return what was written last of where the threads stood; "" if nothing was."""
        size = os.fstat(self.stacks_fd).st_size
        data = os.pread(self.stacks_fd, _LONGEST_STACKS, max(0, size - _LONGEST_STACKS))
        return _bodies_of(data.decode("utf-8", "replace").strip())[:_LONGEST_SHOWN]

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


class Recorder(logging.Handler):
    """In the worker: notes what is logged in the ring."""

    def __init__(self, lines_fd: int) -> None:
        super().__init__(logging.INFO)
        self._memory = mmap.mmap(lines_fd, _HEAD.size + _RING)
        os.close(lines_fd)
        (self._written,) = _HEAD.unpack_from(self._memory)
        self.addFilter(ContextFilter())
        self.setFormatter(TextFormatter(compact=True))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - arguments of users' records may raise anything when shown
            self.handleError(record)
            return
        # Called under the handler's own lock.
        for line in text.splitlines():
            self._write(line.encode("utf-8", "replace")[:_LONGEST_LINE] + b"\n")

    def _write(self, data: bytes) -> None:
        position = self._written % _RING
        first = data[: _RING - position]
        begin = _HEAD.size + position
        self._memory[begin : begin + len(first)] = first
        rest = data[len(first) :]
        self._memory[_HEAD.size : _HEAD.size + len(rest)] = rest
        self._written += len(data)
        # Last, so that a reader never takes what is not written yet.
        _HEAD.pack_into(self._memory, 0, self._written)


def record_stacks(stacks_fd: int) -> None:
    """In the worker: write where threads stand when it crashes, and whenever `STACKS` comes."""
    faulthandler.enable(stacks_fd)
    faulthandler.register(STACKS, stacks_fd, all_threads=True)


def record_lines(lines_fd: int) -> None:
    """In the worker: keep the last lines of what is logged, at level INFO and above."""
    logging.getLogger().addHandler(Recorder(lines_fd))


def _bodies_of(dump: str) -> str:
    """Return the parts of a dump that show threads in which a body runs; all of it if there is none."""
    parts = [part for part in dump.split("\n\n") if _BODY in part and _PARKED not in part]
    return "\n\n".join(parts) or dump
