"""An orchestrator that passes everything on to another one: the base of what surrounds a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    Exchange,
    ExchangeReply,
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

if TYPE_CHECKING:
    from pynenc.ports.loop_doorbell import Heard, LoopDoorbell


class PassingOrchestrator(Orchestrator):
    """Does what `inner` does. Subclasses override what they add something to."""

    def __init__(self, inner: Orchestrator) -> None:
        self._given = inner

    @property
    def _inner(self) -> Orchestrator:
        """What everything is passed on to; a subclass may find it anew each time."""
        return self._given

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        return self._inner.open_session(info, lease_us=lease_us)

    def close_session(self, session: SessionId) -> Op[None]:
        return self._inner.close_session(session)

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        return self._inner.list_sessions(live_only=live_only)

    def doorbell(self) -> Doorbell:
        return self._inner.doorbell()

    def doorbell_on_loop(self, heard: Heard) -> LoopDoorbell:
        return self._inner.doorbell_on_loop(heard)

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        return self._inner.submit(items)

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        return self._inner.exchange(request)

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        return self._inner.claim_ids(session, ids, queues=queues, most=most)

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        return self._inner.list_owned(session)

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        return self._inner.watch(session, ids)

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        return self._inner.cancel(ids, tree=tree, detail=detail)

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        return self._inner.pause(queue, by=by, reason=reason)

    def resume(self, queue: str) -> Op[None]:
        return self._inner.resume(queue)

    def put_gate(self, setting: GateSetting) -> Op[None]:
        return self._inner.put_gate(setting)

    def clear_gate(self, name: str) -> Op[bool]:
        return self._inner.clear_gate(name)

    def list_gates(self) -> Op[list[GateSetting]]:
        return self._inner.list_gates()

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        return self._inner.requeue(ids)

    def tick(self, *, budget: int) -> Op[TickReply]:
        return self._inner.tick(budget=budget)

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        return self._inner.explain(invocation_id)

    def queue_stats(self) -> Op[list[QueueStats]]:
        return self._inner.queue_stats()

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        return self._inner.verify(repair=repair)
