"""A process that dies right after the k-th thing it does to the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    Exchange,
    ExchangeReply,
    SessionInfo,
    Submission,
    SubmitReply,
    TickReply,
    Violation,
    WatchReply,
)
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.passing import PassingOrchestrator

T = TypeVar("T")


class SimulatedCrash(BaseException):
    """The process was killed. No code of a task is meant to catch it."""


class CrashingOrchestrator(PassingOrchestrator):
    """Passes everything on to a store until the process it stands for dies; then nothing gets through.

    Reads change nothing: dying after one is dying after the change before it.
    """

    def __init__(self, inner: Orchestrator, *, crash_after: int | None) -> None:
        """
        Args:
            crash_after: die right after so many changes; None: never.
        """
        super().__init__(inner)
        self._crash_after = crash_after
        self.steps = 0

    def _step(self, op: Op[T]) -> Op[T]:
        self._check_alive()
        reply = yield from op
        self.steps += 1
        self._check_alive()
        return reply

    def _check_alive(self) -> None:
        if self._crash_after is not None and self.steps >= self._crash_after:
            raise SimulatedCrash(f"killed after step {self.steps}")

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        return (yield from self._step(self._inner.open_session(info, lease_us=lease_us)))

    def close_session(self, session: SessionId) -> Op[None]:
        yield from self._step(self._inner.close_session(session))

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        return (yield from self._step(self._inner.submit(items)))

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        return (yield from self._step(self._inner.exchange(request)))

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        return (yield from self._step(self._inner.claim_ids(session, ids, queues=queues, most=most)))

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        return (yield from self._step(self._inner.watch(session, ids)))

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        return (yield from self._step(self._inner.cancel(ids, tree=tree, detail=detail)))

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        yield from self._step(self._inner.pause(queue, by=by, reason=reason))

    def resume(self, queue: str) -> Op[None]:
        yield from self._step(self._inner.resume(queue))

    def put_gate(self, setting: GateSetting) -> Op[None]:
        yield from self._step(self._inner.put_gate(setting))

    def clear_gate(self, name: str) -> Op[bool]:
        return (yield from self._step(self._inner.clear_gate(name)))

    def list_gates(self) -> Op[list[GateSetting]]:
        return (yield from self._inner.list_gates())

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        return (yield from self._step(self._inner.requeue(ids)))

    def tick(self, *, budget: int) -> Op[TickReply]:
        return (yield from self._step(self._inner.tick(budget=budget)))

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        return (yield from self._step(self._inner.verify(repair=repair)))
