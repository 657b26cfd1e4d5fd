"""The control store on Redis: each operation is one script of `protocol/redis`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pynenc.backends.gate_checks import check_setting
from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.codec import (
    StoredCall,
    claims_of,
    message_of,
    pack,
    resumed_of,
    snapshot_of,
    status_of,
    unpack,
    verdicts_of,
    watch_reply_of,
)
from pynenc.backends.redis.gates import fact_of, needs_gates, setting_fields, setting_of
from pynenc.backends.redis.pauses import pause_of
from pynenc.backends.redis.requests import (
    alike_fields,
    alike_gated_fields,
    exchange_fields,
    gated_submission_fields,
    submission_fields,
)
from pynenc.backends.redis.sessions import opening_fields, row_of
from pynenc.backends.redis.verifying import verify
from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    Awaited,
    CancelReply,
    CancelVerdict,
    ClaimIdReply,
    ClaimIdVerdict,
    Exchange,
    ExchangeReply,
    Owned,
    QueueStats,
    SessionInfo,
    SessionRow,
    Standing,
    Submission,
    SubmitReply,
    SubmitVerdict,
    TickReply,
    Violation,
    WatchReply,
)
from pynenc.model.status import State
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator

if TYPE_CHECKING:
    from pynenc.ports.loop_doorbell import Heard, LoopDoorbell

MOST_AHEAD = 10_000
MOST_NAMED = 20


class RedisOrchestrator(Orchestrator):
    """Keeps control records under the prefix of one app.

    Durable is not only what clients are told: a session number or a claim that a failover takes back would be handed
    out a second time, to two owners that no fence tells apart; a watch that it takes back would never be answered.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    # --- sessions ---

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        number: int = yield from self._caller.call("open_session", opening_fields(info, lease_us), durable=True)
        return SessionId(number)

    def close_session(self, session: SessionId) -> Op[None]:
        yield from self._caller.call("close_session", session)

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        rows = yield from self._caller.read("list_sessions", int(live_only))
        return [row_of(row) for row in rows]

    def doorbell(self) -> Doorbell:
        return self._caller.doorbell()

    def doorbell_on_loop(self, heard: Heard) -> LoopDoorbell:
        return self._caller.doorbell_on_loop(heard)

    # --- the hot path ---

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        alike = alike_fields(items) if items else None
        if alike is None and any(map(needs_gates, items)):
            return (yield from self._submit_gated(items))
        fields = alike or (pack([submission_fields(item) for item in items]),)
        replies = unpack((yield from self._caller.call("submit", *fields, durable=True)))
        if replies == SubmitVerdict.CREATED:
            return [SubmitReply(SubmitVerdict.CREATED, item.invocation_id) for item in items]
        return [_submit_reply(item, reply) for item, reply in zip(items, replies, strict=True)]

    def _submit_gated(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        fields = alike_gated_fields(items) or (pack([gated_submission_fields(item) for item in items]),)
        replies = unpack((yield from self._caller.call("submit", *fields, durable=True, gated=True)))
        if replies == SubmitVerdict.CREATED:
            return [SubmitReply(SubmitVerdict.CREATED, item.invocation_id) for item in items]
        return [_submit_reply(item, reply) for item, reply in zip(items, replies, strict=True)]

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        fields = pack(exchange_fields(request))
        durable = bool(request.completions or request.want)
        # Never repeated here: its reply hands out claims and messages, and only the caller can look for lost ones.
        reply = yield from self._caller.call("exchange", fields, durable=durable, repeatable=False)
        verdicts, claims, resumed, inbox, next_due, more = unpack(reply)
        return ExchangeReply(
            verdicts=verdicts_of(verdicts, len(request.completions)),
            claims=claims_of(request.session, claims),
            resumed=tuple([resumed_of(row) for row in resumed]),
            inbox=tuple([message_of(each) for each in inbox]),
            next_due_us=_us(next_due),
            more=more,
        )

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        fields = (session, ids, queues, False if most is None else most)
        reply = yield from self._caller.call("claim_ids", pack(fields), durable=True, repeatable=False)
        verdicts, rows = unpack(reply)
        claims = iter(claims_of(session, rows))
        return [
            ClaimIdReply(ClaimIdVerdict.CLAIMED, next(claims))
            if verdict == ClaimIdVerdict.CLAIMED
            else ClaimIdReply(ClaimIdVerdict(verdict))
            for verdict in verdicts
        ]

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        # Durable, because it tells of claims whose own reply may have been refused for want of replicas.
        rows = unpack((yield from self._caller.call("list_owned", session, durable=True)))
        return [Owned(InvocationId(each), epoch, State(state), cancel) for each, epoch, state, cancel in rows]

    # --- waiting and steering ---

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        return watch_reply_of(unpack((yield from self._caller.call("watch", pack((session, ids)), durable=True))))

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        replies = unpack((yield from self._caller.call("cancel", pack((ids, tree, detail)), durable=True)))
        return [CancelReply(InvocationId(each), CancelVerdict(verdict)) for each, verdict in replies]

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        yield from self._caller.call("pause", pack((queue, by, reason)), durable=True)

    def resume(self, queue: str) -> Op[None]:
        yield from self._caller.call("resume", queue, durable=True)

    def put_gate(self, setting: GateSetting) -> Op[None]:
        check_setting(setting)
        yield from self._caller.call("put_gate", pack(setting_fields(setting)), durable=True)

    def clear_gate(self, name: str) -> Op[bool]:
        known: int = yield from self._caller.call("clear_gate", name, durable=True)
        return bool(known)

    def list_gates(self) -> Op[list[GateSetting]]:
        flat = yield from self._caller.call("list_gates")
        settings = dict(zip(flat[::2], flat[1::2], strict=True))
        return [setting_of(name, unpack(settings[name])) for name in sorted(settings)]

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        return list(unpack((yield from self._caller.call("requeue", pack(ids), durable=True))))

    def tick(self, *, budget: int) -> Op[TickReply]:
        handled, next_due, more = unpack((yield from self._caller.call("tick", budget)))
        return TickReply(handled=handled, next_due_us=_us(next_due), more=more)

    # --- insight ---

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        facts = yield from self._caller.read("explain", pack((invocation_id, MOST_NAMED)))
        return _standing(invocation_id, facts) if facts else None

    def queue_stats(self) -> Op[list[QueueStats]]:
        rows = yield from self._caller.read("queue_stats")
        return sorted((_queue_stats(row) for row in rows), key=lambda each: each.queue)

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        return verify(self._caller, repair=repair)


def _us(value: Any) -> int | None:
    return None if value is False else int(value)


def _submit_reply(item: Submission, reply: Any) -> SubmitReply:
    if reply == 0:
        return SubmitReply(SubmitVerdict.CREATED, item.invocation_id)
    return SubmitReply(SubmitVerdict(reply[0]), InvocationId(reply[1]))


def _queue_stats(row: list[Any]) -> QueueStats:
    queue, ready, delayed, owned, suspended, oldest, pause, listeners, blocked = row
    return QueueStats(
        queue=queue.decode(),
        ready=ready,
        delayed=delayed,
        running=owned,
        suspended=suspended,
        oldest_ready_at_us=_us(oldest),
        pause=pause_of(queue, pause),
        listeners=listeners,
        blocked=blocked,
    )


def _standing(invocation_id: InvocationId, facts: list[Any]) -> Standing | None:
    now, known, queue, pause, listeners, owner, ahead, waits, waits_total, gates = facts
    snapshot = snapshot_of(invocation_id, known)
    if snapshot is None:
        return None
    return Standing(
        snapshot=snapshot,
        now_us=now,
        pause=pause_of(queue, pause),
        listeners=tuple(row_of(row) for row in listeners),
        owner=row_of(owner) if owner else None,
        ahead=min(ahead, MOST_AHEAD),
        waits=tuple(_awaited(row) for row in waits),
        waits_total=waits_total,
        gates=tuple(fact_of(each) for each in gates),
    )


def _awaited(row: list[Any]) -> Awaited:
    invocation_id, stored, standing = row
    status = status_of(standing)
    assert status is not None
    task_id = StoredCall(invocation_id, stored).fields[0].decode()
    return Awaited(invocation_id=InvocationId(invocation_id), task_id=task_id, status=status)
