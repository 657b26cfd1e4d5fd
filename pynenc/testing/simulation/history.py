"""What happened: the operations on the store and the executions of bodies, for the checker."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import Completion, Outcome, Snapshot, Violation


class Applied(Struct, kw_only=True):
    """One operation on the store."""

    who: str
    """Process and thread that asked for it."""
    operation: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    at_us: int
    """The store's time when it was applied; of the reply's arrival where nobody knows better."""
    reply: Any = None
    """None with `error` None as well: whether it happened is not known, or there is nothing to tell."""
    error: str | None = None
    """Name of the class of the error it ended in; nothing was applied."""
    seen: bool = False
    """Whether the reply reached the one who asked."""


class Execution(Struct, kw_only=True):
    """One run of a body, recorded by the body itself: the checker does not take the store's word for it."""

    invocation_id: InvocationId
    session: SessionId
    epoch: Epoch
    attempt: int
    began_us: int
    ended_us: int | None = None
    """None: it was killed, or is still under way."""
    sent: Completion | None = None
    """What it handed to its runner."""


class History:
    """Everything that was observed of one store from its creation on.

    Args:
        complete: whether `applied` has every operation that changed the store, in the order in which they were
            applied (a simulator knows that); without it, checks that depend on the order are left out.
    """

    def __init__(self, *, complete: bool) -> None:
        self.complete = complete
        self.applied: list[Applied] = []
        self.executions: list[Execution] = []


class Finding(Struct, frozen=True):
    """Something that must not be."""

    check: str
    """Which promise is broken: C1..C13 as in the checker, I1..I8 for structure."""
    invocation_id: InvocationId | None
    detail: str

    def __str__(self) -> str:
        subject = "" if self.invocation_id is None else f" {self.invocation_id.hex()}"
        return f"{self.check}{subject}: {self.detail}"


class Evidence(Struct, kw_only=True):
    """What the checker judges."""

    history: History
    snapshots: list[Snapshot]
    """Everything the store knows at the end."""
    dump: dict[str, Any]
    """The same with its indexes, as `Backend.dump` returns it."""
    violations: list[Violation]
    """What `verify` said at the end."""
    findings: list[Finding]
    """What was found on the way."""
    results: list[Outcome]
    """Outcomes that clients were shown."""
    acknowledged: list[InvocationId]
    """Invocations that clients were told exist."""
    settled: bool
    """Whether everything came to rest; else somebody gave up waiting."""
