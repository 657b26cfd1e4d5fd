"""What is known of invocations: calls, outcomes, history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import DeadFilter, DeadPage, ListFilter, Outcome, Snapshot
from pynenc.model.status import InvocationStatus


class StateBackend(Protocol):
    """Reads of the records the engine writes. Never blocks a writer; sees whole transitions only."""

    @abstractmethod
    def snapshots(self, ids: Sequence[InvocationId]) -> Op[list[Snapshot | None]]:
        """Return what is known of each id, in order; None for unknown ones."""

    @abstractmethod
    def outcomes(self, ids: Sequence[InvocationId]) -> Op[list[Outcome | None]]:
        """Return the outcomes of final invocations, in order; None for others."""

    @abstractmethod
    def statuses(self, ids: Sequence[InvocationId]) -> Op[list[InvocationStatus | None]]:
        """Return the public status of each id, in order; None for unknown ones."""

    @abstractmethod
    def listing(self, wanted: ListFilter) -> Op[list[Snapshot]]:
        """Return matching invocations, newest id first, at most `limit`; go on with `before`."""

    @abstractmethod
    def dead(self, wanted: DeadFilter) -> Op[DeadPage]:
        """Return a page of dead letters, newest ending first; go on with `before`.

        Looks at what ended dead alone, never at what succeeded, and at no more than `budget` of it. Endings that come
        meanwhile are not seen by going on.
        """

    @abstractmethod
    def children(self, parent: InvocationId) -> Op[list[InvocationId]]:
        """Return what a run of `parent` submitted, ordered by id."""

    @abstractmethod
    def count(self, *, task_id: str | None = None, statuses: Sequence[InvocationStatus] = ()) -> Op[int]:
        """Count invocations by task and status; () means any status."""

    @abstractmethod
    def unnamed_before(self) -> Op[int]:
        """Return the instant (microseconds) from which on client data may be named by a known invocation.

        What was last written before it is named by none: it lies more than a day before the oldest was submitted, or
        before now if there is none.
        """

    @abstractmethod
    def purge(self, ids: Sequence[InvocationId] | None = None) -> Op[int]:
        """Forget final invocations (`ids`), or everything but live sessions (None). Return how many went."""
