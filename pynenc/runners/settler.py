"""Completions on their way to the store."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Completion, ProgressNote, Release, Suspend

_NAMES = {
    "Success": "succeeded",
    "Failure": "failed",
    "Retry": "to be retried",
    "Release": "handed back",
    "Crash": "crashed",
    "Cancelled": "cancelled",
}


class Settler:
    """Keeps every completion until the store answered for it: the group commit of a runner.

    What arrives while an exchange is under way rides in the next one. The order of arrival is kept, so a
    `Suspend` never overtakes or follows another completion of its run.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._pending: deque[Completion] = deque()
        self._notes: dict[InvocationId, ProgressNote] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def due(self) -> bool:
        """Whether there is something to send."""
        return bool(self._pending or self._notes)

    def add(self, completion: Completion) -> None:
        """Send `completion` with the next exchange."""
        self._pending.append(completion)

    def note(self, note: ProgressNote) -> None:
        """Send the note with the next exchange, in place of an older one of its run."""
        self._notes[note.invocation_id] = note

    def batch(self) -> tuple[Completion, ...]:
        """Return what the next exchange carries, without forgetting it."""
        return tuple(islice(self._pending, self._most))

    def notes(self) -> tuple[ProgressNote, ...]:
        """Return the notes that the next exchange carries, without forgetting them."""
        return tuple(self._notes.values())

    def settled(self, batch: Sequence[Completion], notes: Sequence[ProgressNote]) -> None:
        """Forget what the store answered for: the `batch`, and those `notes` that no newer one replaced."""
        for completion in batch:
            self._pending.popleft()
            self._counts[type(completion).__name__] += 1
        for note in notes:
            if self._notes.get(note.invocation_id) is note:
                del self._notes[note.invocation_id]

    def holds(self, invocation_id: InvocationId, epoch: Epoch) -> bool:
        """Whether an end of this run is still to be sent."""
        return any(
            item.invocation_id == invocation_id and item.epoch == epoch and not isinstance(item, Suspend)
            for item in self._pending
        )

    def replace_suspend(self, release: Release) -> bool:
        """Send `release` instead of a `Suspend` of the same run that was not sent; False if there is none."""
        for index, item in enumerate(self._pending):
            if isinstance(item, Suspend) and item.invocation_id == release.invocation_id:
                self._pending[index] = release
                return True
        return False

    def has_suspend(self, invocation_id: InvocationId) -> bool:
        """Whether a `Suspend` of this invocation is to be sent."""
        return any(isinstance(item, Suspend) and item.invocation_id == invocation_id for item in self._pending)

    def drop_all(self) -> int:
        """Forget everything (the session is gone); return how many completions that were."""
        dropped = len(self._pending)
        self._pending.clear()
        self._notes.clear()
        return dropped

    def summary(self) -> str:
        """Return what became of the runs, for people: `12 succeeded, 1 failed`."""
        parts = [f"{self._counts[name]} {text}" for name, text in _NAMES.items() if self._counts[name]]
        return ", ".join(parts) or "nothing to do"
