"""Why a body is stopped before it is done, and what was seen of it then."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class StopReason(Enum):
    """Why a run has to stop before its body is done."""

    CANCEL = "cancel"
    """Somebody cancelled the invocation."""
    TIMEOUT = "timeout"
    """The attempt used up its time."""
    CPU_TIME = "cpu_time"
    """The attempt used up its processor time."""
    MEMORY = "memory"
    """Its worker process used too much memory and was killed."""


class Seen(Struct, frozen=True, kw_only=True):
    """What was seen of a body that did not end by itself."""

    how: str
    """How it was stopped, in a clause."""
    memory_bytes: int = 0
    """The most that its worker process used; 0: not known."""
    lines: tuple[str, ...] = ()
    """What its worker logged last, oldest first."""
    stack: str = ""
    """Where it stood, innermost call first, as `faulthandler` shows it; or a traceback."""

    @property
    def summary(self) -> str:
        """Return it in a line."""
        memory = f", peak memory {self.memory_bytes / 2**20:.0f} MiB" if self.memory_bytes else ""
        return self.how + memory

    @property
    def details(self) -> str:
        """Return the last log lines and the stack, if they are known."""
        parts = []
        if self.stack:
            parts.append("it stood at:\n" + self.stack)
        if self.lines:
            parts.append("last log lines of its worker:\n" + "\n".join(f"  {line}" for line in self.lines))
        return "\n".join(parts)

    @property
    def report(self) -> str:
        """Return all of it, the summary in the first line."""
        details = self.details
        return f"{self.summary}\n{details}" if details else self.summary
