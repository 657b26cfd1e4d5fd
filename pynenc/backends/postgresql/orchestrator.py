"""The control store on PostgreSQL: each operation is one function of `protocol/postgres`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pynenc.backends.gate_checks import check_setting
from pynenc.backends.postgresql.arrays import byteas
from pynenc.backends.postgresql.database import Database, Rows
from pynenc.backends.postgresql.doorbell import Bells
from pynenc.backends.postgresql.faults import NotPlain
from pynenc.backends.postgresql.gates import fact_of, setting_numbers, setting_of
from pynenc.backends.postgresql.requests import (
    EXCHANGE,
    SUBMIT,
    SUBMIT_ALIKE,
    SUBMIT_GATED,
    SUBMIT_PLAIN,
    alike_arguments,
    are_alike,
    common_parent,
    exchange_columns,
    gate_columns,
    is_plain,
    rare_columns,
    submission_columns,
)
from pynenc.backends.postgresql.rows import (
    claim_of,
    message_of,
    of_kind,
    outcome_of,
    pause_of,
    session_of,
    snapshot_of,
    stats_of,
    status_of,
)
from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    Awaited,
    CancelReply,
    CancelVerdict,
    ClaimIdReply,
    ClaimIdVerdict,
    CompletionReply,
    Exchange,
    ExchangeReply,
    Owned,
    QueueStats,
    Resumed,
    SessionInfo,
    SessionKind,
    SessionRow,
    Standing,
    Submission,
    SubmitReply,
    SubmitVerdict,
    TickReply,
    Verdict,
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
_GATED_S = 1.0
_ACCEPTED = CompletionReply(Verdict.ACCEPTED)


class PostgresqlOrchestrator(Orchestrator):
    """Keeps control records in the schema of one app."""

    def __init__(self, database: Database, bells: Bells) -> None:
        self._database = database
        self._bells = bells
        self._gated_until = 0.0
        """Until then completions are likely to meet gates, so they take the exclusive lock at once."""

    # --- sessions ---

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        encoded, is_runner = msgspec.msgpack.encode(info), info.kind is SessionKind.RUNNER
        rows = yield from self._database.call(
            "open_session(bytea, bigint, text, boolean, text[])",
            *(encoded, lease_us, info.doorbell, is_runner, list(info.queues)),
        )
        return SessionId(rows[0][0])

    def close_session(self, session: SessionId) -> Op[None]:
        yield from self._database.call("close_session(bigint)", session)

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        rows = yield from self._database.call("list_sessions(boolean)", live_only)
        return [session_of(row) for row in rows]

    def doorbell(self) -> Doorbell:
        return self._bells.doorbell()

    def doorbell_on_loop(self, heard: Heard) -> LoopDoorbell:
        from pynenc.backends.postgresql.loop_doorbell import PostgresqlLoopBell

        return PostgresqlLoopBell(self._database.location, self._database.pools, heard)

    # --- the hot path ---

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        if not items:
            return []
        statement, arguments = submission(items)
        try:
            rows = yield from self._database.call(statement, *arguments)
        except NotPlain:
            rows = yield from self._database.call(SUBMIT, *each_apart(items))
        return submit_replies(items, rows)

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        columns = exchange_columns(request)
        done = request.completions
        exclusive = not is_plain(done) or (bool(done) and time.monotonic() < self._gated_until)
        # Never repeated here: its reply hands out claims and messages, and only the caller can look for lost ones.
        try:
            rows = yield from self._database.call(EXCHANGE, exclusive, *columns, repeatable=False)
        except NotPlain as found:
            if found.is_gated:
                self._gated_until = time.monotonic() + _GATED_S
            rows = yield from self._database.call(EXCHANGE, True, *columns, repeatable=False)
        return _exchange_reply(request, rows)

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        rows = yield from self._database.call(
            "claim_ids(bigint, bytea[], text[], integer)",
            *(session, list(ids), list(queues), len(ids) if most is None else most),
            repeatable=False,
        )
        claims = iter([claim_of(session, row) for row in of_kind(rows, 1)])
        return [
            ClaimIdReply(ClaimIdVerdict(row[10]), next(claims) if row[10] == ClaimIdVerdict.CLAIMED else None)
            for row in of_kind(rows, 0)
        ]

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        rows = yield from self._database.call("list_owned(bigint)", session)
        return [Owned(each, epoch, State(state), cancel) for each, epoch, state, cancel in rows]

    # --- waiting and steering ---

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        wanted = list(dict.fromkeys(ids))
        rows = yield from self._database.call("watch(bigint, bytea[])", session, byteas(wanted))
        return WatchReply(
            outcomes=tuple(outcome_of(row) for row in of_kind(rows, 3)),
            unknown=tuple(row[2] for row in of_kind(rows, 0)),
        )

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        given = list(dict.fromkeys(ids))
        rows = yield from self._database.call("cancel(bytea[], boolean, text)", given, tree, detail)
        return [CancelReply(each, CancelVerdict(verdict)) for each, verdict in rows]

    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        yield from self._database.call("pause(text, text, text)", queue, by, reason)

    def resume(self, queue: str) -> Op[None]:
        yield from self._database.call("resume(text)", queue)

    def put_gate(self, setting: GateSetting) -> Op[None]:
        check_setting(setting)
        yield from self._database.call("put_gate(text, bigint, bigint)", setting.name, *setting_numbers(setting))

    def clear_gate(self, name: str) -> Op[bool]:
        rows = yield from self._database.call("clear_gate(text)", name)
        return bool(rows[0][0])

    def list_gates(self) -> Op[list[GateSetting]]:
        rows = yield from self._database.call("list_gates")
        return [setting_of(row) for row in rows]

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        rows = yield from self._database.call("requeue(bytea[])", list(dict.fromkeys(ids)))
        return [row[0] for row in rows]

    def tick(self, *, budget: int) -> Op[TickReply]:
        try:
            rows = yield from self._database.call("tick(boolean, integer)", False, budget)
        except NotPlain:
            rows = yield from self._database.call("tick(boolean, integer)", True, budget)
        handled, next_due, more = rows[0]
        return TickReply(handled=handled, next_due_us=next_due, more=more)

    # --- insight ---

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        facts = yield from self._database.call("explain(bytea, integer)", invocation_id, MOST_AHEAD)
        known = yield from self._database.call("snapshots(bytea[])", [invocation_id])
        if not facts or not known:
            return None
        now, queue, paused, by, reason, paused_at, owner, ahead = facts[0]
        sessions = yield from self._database.call("list_sessions(boolean)", True)
        waits = yield from self._database.call("awaited(bytea)", invocation_id)
        gates = yield from self._database.call("gate_facts(bytea, integer)", invocation_id, MOST_NAMED)
        live = [(session_of(row), row[7], row[8]) for row in sessions]
        return Standing(
            snapshot=snapshot_of(known[0]),
            now_us=now,
            pause=pause_of(queue, paused, by, reason, paused_at),
            listeners=tuple(row for row, is_runner, queues in live if is_runner and _serves(queues, queue)),
            owner=next((row for row, _, _ in live if row.session == owner), None),
            ahead=ahead,
            waits=tuple(_awaited(row) for row in waits[:MOST_NAMED]),
            waits_total=len(waits),
            gates=tuple(fact_of(row) for row in gates),
        )

    def queue_stats(self) -> Op[list[QueueStats]]:
        return [stats_of(row) for row in (yield from self._database.call("queue_stats"))]

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        rows = yield from self._database.call("verify")
        if repair and rows:
            yield from self._database.call("repair")
        return [Violation(invariant, invocation_id, detail) for invariant, invocation_id, detail in rows]


def submission(items: Sequence[Submission]) -> tuple[str, list[Any]]:
    """Return the function for these submissions, and its arguments."""
    plain = common_parent(items)
    if plain is None:
        return SUBMIT, each_apart(items)
    parent, fence = plain
    above = [parent, fence.session if fence else None, fence.epoch if fence else None]
    if any(item.gates for item in items):
        gates, _, _, lanes = gate_columns(items)
        return SUBMIT_GATED, [*above, *submission_columns(items), gates, lanes]
    if are_alike(items):
        return SUBMIT_ALIKE, [*above, *alike_arguments(items)]
    return SUBMIT_PLAIN, [*above, *submission_columns(items)]


def each_apart(items: Sequence[Submission]) -> list[Any]:
    """Return the arguments of the function that looks at each submission by itself."""
    return [*submission_columns(items), *rare_columns(items)]


def submit_replies(items: Sequence[Submission], rows: Rows) -> list[SubmitReply]:
    """Return the replies that the rows of either function mean."""
    if rows and len(rows[0]) == 2:
        return [SubmitReply(SubmitVerdict(verdict), each) for verdict, each in rows]
    created = {row[0] for row in rows}
    # A first row of NULL: the parent is stale, and the rows are what exists already.
    among, other = SubmitVerdict.CREATED, SubmitVerdict.EXISTING
    if None in created:
        among, other = SubmitVerdict.EXISTING, SubmitVerdict.STALE_PARENT
    return [SubmitReply(among if item.invocation_id in created else other, item.invocation_id) for item in items]


def _exchange_reply(request: Exchange, rows: Rows) -> ExchangeReply:
    verdicts: list[Any] = []
    claims, resumed, inbox = [], [], []
    outcomes: list[Any] = []
    next_due, more = None, False
    for row in rows:
        kind = row[0]
        if kind == 1:
            claims.append(claim_of(request.session, row))
        elif kind == 0:
            cycle = row[5] or b""
            ids = tuple(InvocationId(cycle[place : place + 16]) for place in range(0, len(cycle), 16))
            outcomes = []
            verdicts.append((Verdict(row[10]), ids, outcomes))
        elif kind == 2:
            outcomes = []
            resumed.append((row, outcomes))
        elif kind == 3:
            outcomes.append(outcome_of(row))
        elif kind == 4:
            inbox.append(message_of(row))
        else:
            next_due, more = row[10], bool(row[11])
    return ExchangeReply(
        verdicts=_verdicts(request, verdicts),
        claims=tuple(claims),
        resumed=tuple(
            Resumed(invocation_id=row[2], epoch=row[10], timed_out=bool(row[11]), outcomes=tuple(found))
            for row, found in resumed
        ),
        inbox=tuple(inbox),
        next_due_us=next_due,
        more=more,
    )


def _verdicts(request: Exchange, found: list[Any]) -> tuple[CompletionReply, ...]:
    if not found:
        # The plain path only tells of those it did not accept.
        return (_ACCEPTED,) * len(request.completions)
    return tuple(CompletionReply(verdict, tuple(outcomes), cycle) for verdict, cycle, outcomes in found)


def _serves(queues: list[str], queue: str) -> bool:
    return queue in queues if queues else ":" not in queue


def _awaited(row: tuple[Any, ...]) -> Awaited:
    status = status_of(*row[2:])
    assert status is not None
    return Awaited(invocation_id=row[0], task_id=row[1], status=status)
