"""The control store on SQLite: each operation is one unit of work, described in the module it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pynenc.backends.gate_checks import check_setting
from pynenc.backends.sqlite.administration import pause, requeue, resume_queue
from pynenc.backends.sqlite.cancelling import cancel
from pynenc.backends.sqlite.claiming import claim_by_id
from pynenc.backends.sqlite.exchanging import exchange
from pynenc.backends.sqlite.gate_state import every_setting
from pynenc.backends.sqlite.queries import explain, queue_stats
from pynenc.backends.sqlite.requests import Store
from pynenc.backends.sqlite.sealing import refuse_if_sealed
from pynenc.backends.sqlite.sessions import (
    close_session,
    lease_of,
    list_owned,
    open_session,
    renew,
    session_rows,
)
from pynenc.backends.sqlite.submitting import (
    Repeated,
    check,
    is_plain,
    submit_each,
    submit_plain,
)
from pynenc.backends.sqlite.ticking import idle_reply, next_due, tick
from pynenc.backends.sqlite.unit import Unit
from pynenc.backends.sqlite.verifying import repair, verify
from pynenc.backends.sqlite.waiting import watch
from pynenc.errors import SessionGone
from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    Exchange,
    ExchangeReply,
    Owned,
    Pause,
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

T = TypeVar("T")


class SqliteOrchestrator(Orchestrator):
    """Keeps control records in the file that `store` opens."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def _by_session(self, change: Callable[[Unit], T]) -> Op[T]:
        """Run what a live session asks for. A sealed store has none, so the seal is looked for only when it is gone."""

        def guarded(unit: Unit) -> T:
            try:
                return change(unit)
            except SessionGone:
                refuse_if_sealed(unit.connection, self._store.database.path)
                raise

        return self._store.write(guarded, sealed_too=True)

    # --- sessions ---

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        return self._store.write(lambda unit: open_session(unit, info, lease_us))

    def close_session(self, session: SessionId) -> Op[None]:
        bell = yield from self._store.write(lambda unit: close_session(unit, session))
        self._store.ringer.remove_if_dead(bell)

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        condition = "WHERE ended_at IS NULL" if live_only else ""
        return self._store.read(lambda view: session_rows(view.connection, condition))

    def doorbell(self) -> Doorbell:
        return self._store.ringer.doorbell()

    # --- the hot path ---

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        check(items)
        if is_plain(items):
            try:
                return (yield from self._store.write(lambda unit: submit_plain(unit, items)))
            except Repeated:
                pass
        return (yield from self._store.write(lambda unit: submit_each(unit, items)))

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        return self._by_session(lambda unit: exchange(unit, request))

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        def claim(unit: Unit) -> list[ClaimIdReply]:
            renew(unit, session, lease_of(unit, session))
            return claim_by_id(unit, session, ids, queues, most)

        return self._by_session(claim)

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        return self._store.read(lambda view: list_owned(view.connection, session))

    # --- waiting and steering ---

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        def register(unit: Unit) -> WatchReply:
            renew(unit, session, lease_of(unit, session))
            return watch(unit, session, ids)

        return self._by_session(register)

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        return self._store.write(lambda unit: cancel(unit, ids, tree=tree, detail=detail))

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        yield from self._store.write(lambda unit: pause(unit, Pause(queue=queue, by=by, reason=reason, at_us=unit.now)))

    def resume(self, queue: str) -> Op[None]:
        yield from self._store.write(lambda unit: resume_queue(unit, queue))

    def put_gate(self, setting: GateSetting) -> Op[None]:
        check_setting(setting)
        return self._store.write(lambda unit: unit.gating.put(setting))

    def clear_gate(self, name: str) -> Op[bool]:
        return self._store.write(lambda unit: unit.gating.take_away(name))

    def list_gates(self) -> Op[list[GateSetting]]:
        return self._store.read(lambda view: every_setting(view.connection))

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        return self._store.write(lambda unit: requeue(unit, ids))

    def tick(self, *, budget: int) -> Op[TickReply]:
        # A look without the write lock first: whoever waits calls this often, and mostly nothing is due.
        if budget > 0:
            idle = yield from self._store.read(lambda view: idle_reply(view.connection, view.now))
            if idle is not None:
                return idle

        def work(unit: Unit) -> TickReply:
            handled, more = tick(unit, budget)
            unit.flush()
            return TickReply(handled=handled, next_due_us=next_due(unit.connection, unit.now), more=more)

        return (yield from self._store.write(work))

    # --- insight ---

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        return self._store.read(lambda view: explain(view.connection, view.names, invocation_id, view.now))

    def queue_stats(self) -> Op[list[QueueStats]]:
        return self._store.read(lambda view: queue_stats(view.connection))

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        violations = yield from self._store.read(lambda view: verify(view.connection, view.names, view.now))
        if repair and violations:
            yield from self._store.write(_repair)
        return violations


def _repair(unit: Unit) -> None:
    repair(unit)
