"""What ran where and when, read from the histories that the store keeps anyway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from pynenc import InvocationStatus
from pynenc.invocation.history import HistoryEntry


class SpanEnd(Enum):
    """How a stretch of time of an invocation ended."""

    DONE = "done"
    WAITED = "waited"
    LOST = "lost"


# REROUTED: it was parked on a worker that died, which shows when it is to go on.
_LOST = {
    InvocationStatus.KILLED,
    InvocationStatus.PENDING_RECOVERY,
    InvocationStatus.REROUTED,
    InvocationStatus.RUNNING_RECOVERY,
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which one invocation ran on, or was parked on, one worker. Seconds from the begin."""

    invocation: str
    label: str
    group: str
    worker: int
    """The process; 0 where the runner was not told, as for stretches that ended at once in a wait."""
    begin: float
    end: float
    how: SpanEnd
    parked: bool = False
    """It waited for others, and held no slot."""
    again: bool = False
    """It runs after an attempt that was lost."""
    detail: str = ""
    """Of a lost one: what the runner said of it."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker process that was killed."""

    worker: int
    at: float


@dataclass(frozen=True, slots=True)
class Trace:
    """All that happened in one census."""

    spans: tuple[Span, ...]
    kills: tuple[Kill, ...]

    @property
    def lost(self) -> list[Span]:
        return [span for span in self.spans if span.how is SpanEnd.LOST]

    @property
    def length(self) -> float:
        return max((span.end for span in self.spans), default=0.0)

    @property
    def workers(self) -> list[int]:
        """Worker processes in the order in which they first did something."""
        first: dict[int, float] = {}
        for span in sorted(self.spans, key=lambda span: span.begin):
            first.setdefault(span.worker, span.begin)
        return [worker for worker in first if worker]

    def run_again(self, lost: Span) -> Span | None:
        """Return the run that took the place of a lost one."""
        later = (
            span for span in self.spans if span.invocation == lost.invocation and span.begin >= lost.end and span.again
        )
        return min(later, key=lambda span: span.begin, default=None)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An invocation and its history, with the names it goes by in the report."""

    invocation: str
    label: str
    group: str
    history: Sequence[HistoryEntry]


def build_trace(recorded: Iterable[Recorded], kills: Iterable[tuple[int, datetime]]) -> Trace:
    """Turn histories into spans."""
    records = list(recorded)
    begin = min(entry.timestamp for record in records for entry in record.history)
    spans = sorted(
        (span for record in records for span in _spans(record, begin)), key=lambda span: (span.begin, span.end)
    )
    marks = tuple(Kill(worker, (at - begin).total_seconds()) for worker, at in kills)
    return Trace(tuple(spans), marks)


def _spans(record: Recorded, begin: datetime) -> Iterator[Span]:
    """Pair each entry in which it ran, or was parked, with the one that follows."""
    again = False
    for entry, following in zip(record.history, record.history[1:], strict=False):
        how = _ended(following.status)
        if entry.status in (InvocationStatus.RUNNING, InvocationStatus.PAUSED):
            yield Span(
                record.invocation,
                record.label,
                record.group,
                entry.worker or following.worker,
                (entry.timestamp - begin).total_seconds(),
                max(entry.timestamp - begin, following.timestamp - begin).total_seconds(),
                how,
                parked=entry.status is InvocationStatus.PAUSED,
                again=again,
                detail=following.detail if how is SpanEnd.LOST else "",
            )
        again = again or how is SpanEnd.LOST


def _ended(following: InvocationStatus) -> SpanEnd:
    if following in _LOST:
        return SpanEnd.LOST
    return SpanEnd.DONE if following.is_final() else SpanEnd.WAITED
