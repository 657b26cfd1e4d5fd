"""How far a group is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from pynenc.model.status import InvocationStatus


class GroupProgress(Struct, frozen=True, kw_only=True):
    """Counts of a group's invocations at one moment."""

    total: int
    done: int
    """Ended, however."""
    succeeded: int
    failed: int
    """Ended in anything but SUCCESS."""
    running: int

    @property
    def fraction(self) -> float:
        """`done / total`, 1.0 for an empty group."""
        return self.done / self.total if self.total else 1.0


def count_progress(statuses: Iterable[InvocationStatus]) -> GroupProgress:
    """Return the counts of these statuses."""
    counts = Counter(statuses)
    done = sum(number for status, number in counts.items() if status.is_final())
    succeeded = counts[InvocationStatus.SUCCESS]
    return GroupProgress(
        total=counts.total(),
        done=done,
        succeeded=succeeded,
        failed=done - succeeded,
        running=counts[InvocationStatus.RUNNING],
    )
