"""What simulated processes ask for, and the store as each of them reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    Exchange,
    ExchangeReply,
    Outcome,
    Owned,
    QueueStats,
    SessionInfo,
    SessionRow,
    Standing,
    Submission,
    SubmitReply,
    TickReply,
    Violation,
    WatchReply,
)
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator


class SimulatedRequest:
    """A request that only a simulator can answer."""

    __slots__ = ()

    def send(self) -> Any:
        raise TypeError(f"{type(self).__name__} is answered by a simulator, not performed")

    async def asend(self) -> Any:
        return self.send()


class StoreCall(SimulatedRequest):
    """One operation of the store: one message there, one back."""

    __slots__ = ("arguments", "operation", "options", "port")

    def __init__(self, operation: str, *arguments: Any, port: str = "orchestrator", **options: Any) -> None:
        self.port = port
        self.operation = operation
        self.arguments = arguments
        self.options = options

    @property
    def repeatable(self) -> bool:
        """Whether the port allows this to arrive twice."""
        return self.operation in _REPEATABLE

    def perform(self, backend: Any) -> Op[Any]:
        """Return the operation on `backend`."""
        op: Op[Any] = getattr(getattr(backend, self.port), self.operation)(*self.arguments, **self.options)
        return op


_REPEATABLE = frozenset({"submit", "cancel", "pause", "resume", "close_session", "tick", "put_gate", "clear_gate"})


class Sleep(SimulatedRequest):
    """Nothing for a while, by true time."""

    __slots__ = ("duration_us",)

    def __init__(self, duration_us: int) -> None:
        self.duration_us = duration_us


class Park(SimulatedRequest):
    """Nothing until somebody wakes the thread with a value."""

    __slots__ = ()


class Link(Orchestrator):
    """The control store as one process sees it: every operation is one `StoreCall`."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        session: SessionId = yield StoreCall("open_session", info, lease_us=lease_us)
        return session

    def close_session(self, session: SessionId) -> Op[None]:
        yield StoreCall("close_session", session)

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        rows: list[SessionRow] = yield StoreCall("list_sessions", live_only=live_only)
        return rows

    def doorbell(self) -> Doorbell:
        return self._bell

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        replies: list[SubmitReply] = yield StoreCall("submit", items)
        return replies

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        reply: ExchangeReply = yield StoreCall("exchange", request)
        return reply

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        replies: list[ClaimIdReply] = yield StoreCall("claim_ids", session, ids, queues=queues, most=most)
        return replies

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        owned: list[Owned] = yield StoreCall("list_owned", session)
        return owned

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        reply: WatchReply = yield StoreCall("watch", session, ids)
        return reply

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        replies: list[CancelReply] = yield StoreCall("cancel", ids, tree=tree, detail=detail)
        return replies

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        yield StoreCall("pause", queue, by=by, reason=reason)

    def resume(self, queue: str) -> Op[None]:
        yield StoreCall("resume", queue)

    def put_gate(self, setting: GateSetting) -> Op[None]:
        yield StoreCall("put_gate", setting)

    def clear_gate(self, name: str) -> Op[bool]:
        known: bool = yield StoreCall("clear_gate", name)
        return known

    def list_gates(self) -> Op[list[GateSetting]]:
        settings: list[GateSetting] = yield StoreCall("list_gates")
        return settings

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        requeued: list[InvocationId] = yield StoreCall("requeue", ids)
        return requeued

    def tick(self, *, budget: int) -> Op[TickReply]:
        reply: TickReply = yield StoreCall("tick", budget=budget)
        return reply

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        standing: Standing | None = yield StoreCall("explain", invocation_id)
        return standing

    def queue_stats(self) -> Op[list[QueueStats]]:
        stats: list[QueueStats] = yield StoreCall("queue_stats")
        return stats

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        violations: list[Violation] = yield StoreCall("verify", repair=repair)
        return violations

    def outcomes(self, ids: Sequence[InvocationId]) -> Op[list[Outcome | None]]:
        """Read outcomes from the state backend, over the same line."""
        found: list[Outcome | None] = yield StoreCall("outcomes", ids, port="state_backend")
        return found
