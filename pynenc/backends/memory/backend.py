"""The ports of the memory store: one lock, one state, one function per operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynenc.backends.gate_checks import check_setting
from pynenc.backends.memory import administration, queries
from pynenc.backends.memory.atomic import AtomicState
from pynenc.backends.memory.cancelling import cancel
from pynenc.backends.memory.claiming import claim_by_id
from pynenc.backends.memory.doorbell import MemoryDoorbell
from pynenc.backends.memory.dump import dump
from pynenc.backends.memory.exchanging import exchange
from pynenc.backends.memory.sessions import close_session, list_owned, live_session, open_session
from pynenc.backends.memory.state import MemoryState
from pynenc.backends.memory.submitting import submit
from pynenc.backends.memory.ticking import tick
from pynenc.backends.memory.transfer import MemoryTransfer
from pynenc.backends.memory.verifying import repair, verify
from pynenc.backends.memory.waiting import watch
from pynenc.clock import system_clock_us
from pynenc.io import Op, run
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    DeadFilter,
    DeadPage,
    Exchange,
    ExchangeReply,
    ListFilter,
    Outcome,
    Owned,
    Pause,
    QueueStats,
    SessionInfo,
    SessionRow,
    Snapshot,
    Standing,
    Submission,
    SubmitReply,
    TickReply,
    Violation,
    WatchReply,
)
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend, Capabilities, ClockUs, Finding
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.state_backend import StateBackend
from pynenc.ports.transfer import Transfer


class MemoryOrchestrator(Orchestrator):
    """The control store in memory."""

    def __init__(self, store: AtomicState) -> None:
        self._store = store

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        return (yield from self._store.atomic(lambda state, now: open_session(state, info, lease_us, now)))

    def close_session(self, session: SessionId) -> Op[None]:
        yield from self._store.atomic(lambda state, now: close_session(state, session, now))

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        return (yield from self._store.atomic(lambda state, _: queries.list_sessions(state, live_only)))

    def doorbell(self) -> Doorbell:
        return MemoryDoorbell()

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        return (yield from self._store.atomic(lambda state, now: submit(state, items, now)))

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        return (yield from self._store.atomic(lambda state, now: exchange(state, request, now)))

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        def claim(state: MemoryState, now_us: int) -> list[ClaimIdReply]:
            return claim_by_id(state, live_session(state, session, now_us), ids, tuple(queues), most, now_us)

        return (yield from self._store.atomic(claim))

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        return (yield from self._store.atomic(lambda state, _: list_owned(state, session)))

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        return (yield from self._store.atomic(lambda state, now: watch(state, live_session(state, session, now), ids)))

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        return (yield from self._store.atomic(lambda state, now: cancel(state, ids, tree, detail, now)))

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        yield from self._store.atomic(
            lambda state, now_us: state.paused.setdefault(queue, Pause(queue=queue, by=by, reason=reason, at_us=now_us))
        )

    def resume(self, queue: str) -> Op[None]:
        yield from self._store.atomic(lambda state, _: administration.resume_queue(state, queue))

    def put_gate(self, setting: GateSetting) -> Op[None]:
        check_setting(setting)
        yield from self._store.atomic(lambda state, now: state.gating.put(setting, now))

    def clear_gate(self, name: str) -> Op[bool]:
        return (yield from self._store.atomic(lambda state, now: state.gating.take_away(name, now)))

    def list_gates(self) -> Op[list[GateSetting]]:
        return (yield from self._store.atomic(lambda state, _: state.gating.set_by_hand()))

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        return (yield from self._store.atomic(lambda state, now: administration.requeue(state, ids, now)))

    def tick(self, *, budget: int) -> Op[TickReply]:
        return (yield from self._store.atomic(lambda state, now: tick(state, budget, now)))

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        return (yield from self._store.atomic(lambda state, now: queries.explain(state, invocation_id, now)))

    def queue_stats(self) -> Op[list[QueueStats]]:
        return (yield from self._store.atomic(lambda state, _: queries.queue_stats(state)))

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        return (yield from self._store.atomic(lambda state, now: _verify(state, now, mend=repair)))


def _verify(state: MemoryState, now_us: int, *, mend: bool) -> list[Violation]:
    found = verify(state, now_us)
    if mend and found:
        repair(state, now_us)
    return found


class MemoryStateBackend(StateBackend):
    """Reads of the memory store."""

    def __init__(self, store: AtomicState) -> None:
        self._store = store

    def snapshots(self, ids: Sequence[InvocationId]) -> Op[list[Snapshot | None]]:
        return (yield from self._store.atomic(lambda state, _: [queries.snapshot(state, each) for each in ids]))

    def outcomes(self, ids: Sequence[InvocationId]) -> Op[list[Outcome | None]]:
        return (yield from self._store.atomic(lambda state, _: [state.outcomes.get(each) for each in ids]))

    def statuses(self, ids: Sequence[InvocationId]) -> Op[list[InvocationStatus | None]]:
        return (yield from self._store.atomic(lambda state, _: [queries.status(state, each) for each in ids]))

    def listing(self, wanted: ListFilter) -> Op[list[Snapshot]]:
        return (yield from self._store.atomic(lambda state, _: queries.listing(state, wanted)))

    def dead(self, wanted: DeadFilter) -> Op[DeadPage]:
        return (yield from self._store.atomic(lambda state, _: queries.dead(state, wanted)))

    def children(self, parent: InvocationId) -> Op[list[InvocationId]]:
        return (yield from self._store.atomic(lambda state, _: sorted(state.children.get(parent, ()))))

    def count(self, *, task_id: str | None = None, statuses: Sequence[InvocationStatus] = ()) -> Op[int]:
        return (yield from self._store.atomic(lambda state, _: queries.count(state, task_id, statuses)))

    def unnamed_before(self) -> Op[int]:
        return (yield from self._store.atomic(queries.unnamed_before))

    def purge(self, ids: Sequence[InvocationId] | None = None) -> Op[int]:
        return (yield from self._store.atomic(lambda state, _: administration.purge(state, ids)))


class MemoryClientDataStore(ClientDataStore):
    """Large values in memory."""

    def __init__(self, store: AtomicState) -> None:
        self._store = store

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        def keep(state: MemoryState, now_us: int) -> None:
            state.blobs[key] = (data, now_us)

        yield from self._store.atomic(keep)
        return key

    def get(self, reference: bytes) -> Op[bytes | None]:
        return (yield from self._store.atomic(lambda state, _: state.blobs.get(reference, (None, 0))[0]))

    def collect(self, *, before_us: int) -> Op[int]:
        def drop(state: MemoryState, _: int) -> int:
            old = [key for key, (_, written_us) in state.blobs.items() if written_us < before_us]
            for key in old:
                del state.blobs[key]
            return len(old)

        return (yield from self._store.atomic(drop))


class MemoryBackend(Backend):
    """A store that lives as long as this object."""

    def __init__(self, *, clock: ClockUs = system_clock_us) -> None:
        self._store = AtomicState(clock)
        self.url = "memory://"
        self.capabilities = Capabilities(across_processes=False, durability="none", push=True, gates=True)
        self.orchestrator: Orchestrator = MemoryOrchestrator(self._store)
        self.state_backend: StateBackend = MemoryStateBackend(self._store)
        self.client_data_store: ClientDataStore = MemoryClientDataStore(self._store)
        self.transfer: Transfer = MemoryTransfer(self._store)

    def close(self) -> None:
        """Nothing to give back."""

    def end_leases(self) -> None:
        """Let every live session count as expired, as if its process had been silent for long: for tests."""

        def expire(state: MemoryState, now_us: int) -> None:
            for session in state.sessions.values():
                session.expires_at_us = min(session.expires_at_us, now_us)

        run(self._store.atomic(expire))

    def migrate(self, *, post: bool = False) -> Op[list[str]]:
        return (yield from self._store.atomic(lambda _state, _now: []))

    def diagnose(self) -> Op[list[Finding]]:
        broken = yield from self.orchestrator.verify()
        findings = [
            Finding(level="error", subject=violation.invariant, detail=violation.detail) for violation in broken
        ]
        note = "kept in this process only; lost when it ends"
        return [Finding(level="warning", subject="memory store", detail=note), *findings]

    def dump(self) -> Op[dict[str, Any]]:
        return (yield from self._store.atomic(dump))
