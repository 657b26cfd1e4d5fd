"""From a call to an invocation in the store."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pynenc.clock import system_clock_us
from pynenc.context import RunContext, current_run, current_transaction
from pynenc.core.differing import different_arguments
from pynenc.errors import InvocationNotFound, RunnerStopped
from pynenc.io import Op
from pynenc.model.gates import Flow, Gate
from pynenc.model.ids import InvocationId, child_invocation_id, id_text, new_invocation_id
from pynenc.model.records import AfterPolicy, Dedupe, DedupePhase, Submission, SubmitReply, SubmitVerdict
from pynenc.ports.backend import ClockUs
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.scheduler import Rank, RankContext, Scheduler
from pynenc.ports.transaction import Transaction
from pynenc.scheduling.ranks import checked_rank

if TYPE_CHECKING:
    from pynenc.core.payloads import Payloads
    from pynenc.core.run_times import RunTimes
    from pynenc.middleware.events import SubmittedCall
    from pynenc.middleware.registry import Hooks
    from pynenc.task import Task


class Guarded(Struct, frozen=True):
    """What stands before one call."""

    dedupe: Dedupe | None = None
    gates: tuple[Gate, ...] = ()
    flow: Flow | None = None


UNGUARDED = Guarded()


class PreparedCall(Struct, frozen=True):
    """A call whose arguments are bound and encoded once."""

    task: Task[..., Any]
    sealed: bytes
    """Encoded arguments, not yet offloaded."""
    dedupe: Dedupe | None
    after: tuple[InvocationId, ...] = ()
    after_policy: AfterPolicy = AfterPolicy.ALL_SUCCEEDED
    after_need: int = 0
    key: InvocationId | None = None
    """The id it shall have; None: one that is chosen when it is submitted."""
    gates: tuple[Gate, ...] = ()
    flow: Flow | None = None


class TaskTerms(Struct, frozen=True):
    """What the options in force of a task say of each of its submissions, looked up once for many of them."""

    queue: str
    policy: bytes
    delay_us: int
    start_at_us: int | None
    expires_us: int | None
    retention_us: int | None
    max_crashes: int
    rank: Rank

    @classmethod
    def of(cls, task: Task[..., Any], rank: Rank) -> TaskTerms:
        """Return the terms of submissions that the scheduler gave this rank."""
        return cls(
            task.options_in_force.queue,
            task.encoded_policy,
            task.delay_us,
            task.start_at_us,
            task.expires_us,
            task.retention_us,
            task.app.conf.max_crashes,
            rank,
        )


class Submitter:
    """Decides what a new invocation looks like and hands it to the orchestrator."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        scheduler: Scheduler,
        run_times: RunTimes | None,
        hooks: Hooks,
        clock: ClockUs = system_clock_us,
    ) -> None:
        self._orchestrator = orchestrator
        self._scheduler = scheduler
        self._run_times = run_times
        self._hooks = hooks
        self._clock = clock

    def submit(self, calls: Sequence[PreparedCall]) -> Op[list[SubmitReply]]:
        """Submit in one atomic unit, as children of the running invocation if there is one.

        Raises:
            RunnerStopped: the run that submits was superseded; nothing was created.
            InvocationNotFound: a call comes after an invocation nobody knows.
            InvocationConcurrencyWithDifferentArgumentsError: one with the same key but other arguments is registered,
                and the task says `on_diff_non_key_args_raise`; the other calls are created.
            Exception: what a middleware refused it with.
        """
        context = current_run.get()
        ids = [call.key or self.id_for(call) for call in calls]
        if not self._hooks.submit or not calls:
            return self._submit(calls, ids, context)
        from pynenc.middleware.events import SubmitEvent, SubmittedCall

        told = tuple(map(SubmittedCall, calls, ids))
        event = SubmitEvent(calls[0].task.app, told)
        return self._hooks.around("submit", event, self._submit(calls, ids, context, told))

    def id_for(self, call: PreparedCall) -> InvocationId:
        """Return a new id for a call: one that follows from the running invocation, if there is one."""
        context = current_run.get()
        return context.child_id(_call_key(call)) if context else new_invocation_id()

    def resubmit(self, call: PreparedCall, *, instead_of: InvocationId, epoch: int) -> Op[SubmitReply]:
        """Submit a call in place of one that ended at this epoch, as a child of it.

        Repeating it submits nothing more.
        """
        if self._run_times is not None:
            yield from self._run_times.refresh()
        arguments = yield from call.task.payloads.offload(call.sealed)
        key = child_invocation_id(instead_of, epoch, _digest(b"again", call.task.task_id, call.sealed), 0)
        terms = self._terms(call, None, self._clock())
        item = self._submission(call, terms, key, arguments, b"", None)
        replies = yield from self._hand_over([call], [replace(item, parent_id=instead_of)])
        return replies[0]

    def _submit(
        self,
        calls: Sequence[PreparedCall],
        ids: Sequence[InvocationId],
        context: RunContext | None,
        told: Sequence[SubmittedCall] = (),
    ) -> Op[list[SubmitReply]]:
        if self._run_times is not None:
            yield from self._run_times.refresh()
        carried = yield from _offloaded(calls)
        now_us = self._clock()
        items: list[Submission] = []
        terms: dict[tuple[int, bool], TaskTerms] = {}
        for place, call in enumerate(calls):
            task = call.task
            alike = id(task), bool(call.after)
            known = terms.get(alike)
            if known is None:
                known = terms[alike] = self._terms(call, context, now_us)
            meta = told[place].encode_carrier() if told else b""
            items.append(self._submission(call, known, ids[place], carried[place], meta, context))
        replies = yield from self._hand_over(calls, items)
        for each, reply in zip(told, replies, strict=False):
            each.answered(reply)
        for call, reply in zip(calls, replies, strict=True):
            if reply.verdict is SubmitVerdict.DIFFERENT:
                raise (yield from different_arguments(call, reply.invocation_id))
            if reply.verdict is SubmitVerdict.STALE_PARENT:
                raise RunnerStopped("this run was superseded by another one; what it submits is refused")
            if reply.verdict is SubmitVerdict.UNKNOWN_DEPENDENCY:
                raise InvocationNotFound(f"invocation {id_text(reply.invocation_id)} to come after is unknown")
        return replies

    def _hand_over(self, calls: Sequence[PreparedCall], items: list[Submission]) -> Op[list[SubmitReply]]:
        """Submit through the orchestrator, or inside the transaction that the caller opened for this app."""
        active = current_transaction.get()
        if active is None or not calls or active[0] is not calls[0].task.app:
            return (yield from self._orchestrator.submit(items))
        replies: list[SubmitReply] = yield WithinTransaction(active[1], items)
        return replies

    def _terms(self, call: PreparedCall, context: RunContext | None, now_us: int) -> TaskTerms:
        """Return the terms of what `context`, or somebody outside of runs, submits of a task now."""
        task = call.task
        options = task.options_in_force
        rank = checked_rank(
            self._scheduler,
            RankContext(
                task_id=task.task_id,
                queue=options.queue,
                now_us=now_us,
                priority=options.priority,
                deadline_us=None if options.deadline is None else options.deadline_us(now_us),
                run_time_us=self._run_times.of(task.task_id) if self._run_times is not None else None,
                follows=bool(call.after),
                parent_rank=context.claim.rank if context else None,
            ),
        )
        return TaskTerms.of(task, rank)

    def _submission(
        self,
        call: PreparedCall,
        terms: TaskTerms,
        key: InvocationId,
        arguments: bytes,
        meta: bytes,
        context: RunContext | None,
    ) -> Submission:
        return Submission(
            invocation_id=key,
            task_id=call.task.task_id,
            arguments=arguments,
            queue=terms.queue,
            policy=terms.policy,
            meta=meta,
            band=terms.rank.band,
            key=terms.rank.key,
            delay_us=terms.delay_us,
            start_at_us=terms.start_at_us,
            expires_us=terms.expires_us,
            retention_us=terms.retention_us,
            max_crashes=terms.max_crashes,
            after=call.after,
            after_policy=call.after_policy,
            after_need=call.after_need,
            dedupe=call.dedupe,
            parent=context.fence if context else None,
            gates=call.gates,
            flow=call.flow,
        )


class WithinTransaction:
    """A request to submit on the user's connection."""

    __slots__ = ("_items", "_transaction")

    def __init__(self, transaction: Transaction, items: Sequence[Submission]) -> None:
        self._transaction = transaction
        self._items = items

    def send(self) -> list[SubmitReply]:
        return self._transaction.submit(self._items)

    async def asend(self) -> list[SubmitReply]:
        return await self._transaction.asubmit(self._items)


def idempotency(task_id: str, key: str) -> Dedupe:
    """Return the deduplication of an idempotency key: one invocation per task and key until it is purged."""
    return Dedupe(_digest(b"idempotency", task_id, key.encode()), DedupePhase.UNTIL_PURGED)


def cached_result(task_id: str, arguments: bytes) -> Dedupe:
    """Return the deduplication of a task whose results are reused: the same call while its result is good."""
    return Dedupe(_digest(b"cache", task_id, arguments), DedupePhase.WHILE_GOOD)


def _offloaded(calls: Sequence[PreparedCall]) -> Op[list[bytes]]:
    """Return what the records of these calls carry of their arguments, once all that is large is kept elsewhere."""
    carried = [call.sealed for call in calls]
    large: dict[Payloads, list[int]] = {}
    for place, call in enumerate(calls):
        if not call.task.payloads.fits(call.sealed):
            large.setdefault(call.task.payloads, []).append(place)
    for payloads, places in large.items():
        kept = yield from payloads.offload_many([carried[place] for place in places])
        for place, arguments in zip(places, kept, strict=True):
            carried[place] = arguments
    return carried


def _call_key(call: PreparedCall) -> bytes:
    return _digest(b"child", call.task.task_id, call.sealed)


def _digest(purpose: bytes, task_id: str, content: bytes) -> bytes:
    hasher = blake2b(purpose, digest_size=16)
    hasher.update(len(task_id).to_bytes(4, "big") + task_id.encode())
    hasher.update(content)
    return hasher.digest()
