"""How much a worker process may use, and what follows when it used it up. Decisions only: no clock, no process."""

from __future__ import annotations

from msgspec import Struct

from pynenc.runners.vitals import Vitals

_MIB = 2**20


class WorkerLimits(Struct, frozen=True, kw_only=True):
    """Limits of one worker process; 0 or None: no such limit."""

    max_tasks: int = 0
    """Bodies that ended in it."""
    max_age_s: float | None = None
    """Since it had loaded the app."""
    memory_bytes: int | None = None
    """Looked at when a body ends."""
    hard_memory_bytes: int | None = None
    """Looked at while bodies run."""

    @property
    def need_vitals(self) -> bool:
        """Whether they cannot be kept without seeing what a process uses."""
        return self.memory_bytes is not None or self.hard_memory_bytes is not None

    def due_at_s(self, ready_at_s: float) -> float | None:
        """Return when a worker that was ready then is too old."""
        return None if self.max_age_s is None else ready_at_s + self.max_age_s

    def reason_to_retire(self, tasks: int, vitals: Vitals | None) -> str | None:
        """Return why a worker gets no more bodies and is replaced, after one has ended; None: it goes on.

        Args:
            tasks: how many bodies ended in it.
            vitals: None if they were not read.
        """
        if self.max_tasks and tasks >= self.max_tasks:
            return f"it ran {tasks} bodies"
        if self.memory_bytes is not None and vitals is not None and vitals.memory_bytes > self.memory_bytes:
            return f"it uses {vitals.memory_bytes / _MIB:.0f} MiB of memory, {self.memory_bytes / _MIB:.0f} are allowed"
        return None

    def is_over(self, vitals: Vitals) -> bool:
        """Whether a worker has to be killed at once."""
        return self.hard_memory_bytes is not None and vitals.memory_bytes > self.hard_memory_bytes
