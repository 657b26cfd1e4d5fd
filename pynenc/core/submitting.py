"""From a call to an invocation in the store."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.context import RunContext, current_run, current_transaction
from pynenc.core.differing import different_arguments
from pynenc.errors import InvocationNotFound, RunnerStopped
from pynenc.io import Op
from pynenc.model.gates import Flow, Gate
from pynenc.model.ids import InvocationId, id_text, new_invocation_id
from pynenc.model.records import AfterPolicy, Dedupe, DedupePhase, Submission, SubmitReply, SubmitVerdict
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.scheduler import RankContext, Scheduler
from pynenc.ports.transaction import Transaction

if TYPE_CHECKING:
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
    gates: tuple[Gate, ...] = ()
    flow: Flow | None = None


class Submitter:
    """Decides what a new invocation looks like and hands it to the orchestrator."""

    def __init__(self, orchestrator: Orchestrator, scheduler: Scheduler, hooks: Hooks) -> None:
        self._orchestrator = orchestrator
        self._scheduler = scheduler
        self._hooks = hooks

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
        ids = [context.child_id(_call_key(call)) if context else new_invocation_id() for call in calls]
        if not self._hooks.submit or not calls:
            return self._submit(calls, ids, context)
        from pynenc.middleware.events import SubmitEvent, SubmittedCall

        told = tuple(map(SubmittedCall, calls, ids))
        event = SubmitEvent(calls[0].task.app, told)
        return self._hooks.around("submit", event, self._submit(calls, ids, context, told))

    def _submit(
        self,
        calls: Sequence[PreparedCall],
        ids: Sequence[InvocationId],
        context: RunContext | None,
        told: Sequence[SubmittedCall] = (),
    ) -> Op[list[SubmitReply]]:
        items: list[Submission] = []
        for place, call in enumerate(calls):
            arguments = yield from call.task.payloads.offload(call.sealed)
            meta = told[place].encode_carrier() if told else b""
            items.append(self._submission(call, ids[place], arguments, meta, context))
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

    def _submission(
        self, call: PreparedCall, key: InvocationId, arguments: bytes, meta: bytes, context: RunContext | None
    ) -> Submission:
        task = call.task
        options = task.options_in_force
        rank = self._scheduler.rank(
            RankContext(
                task_id=task.task_id,
                queue=options.queue,
                parent_rank=context.claim.rank if context else None,
            )
        )
        return Submission(
            invocation_id=key,
            task_id=task.task_id,
            arguments=arguments,
            queue=options.queue,
            policy=task.encoded_policy,
            meta=meta,
            band=rank.band,
            key=rank.key,
            delay_us=task.delay_us,
            expires_us=task.expires_us,
            retention_us=task.retention_us,
            max_crashes=task.app.conf.max_crashes,
            after=call.after,
            after_policy=call.after_policy,
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


def _call_key(call: PreparedCall) -> bytes:
    return _digest(b"child", call.task.task_id, call.sealed)


def _digest(purpose: bytes, task_id: str, content: bytes) -> bytes:
    hasher = blake2b(purpose, digest_size=16)
    hasher.update(len(task_id).to_bytes(4, "big") + task_id.encode())
    hasher.update(content)
    return hasher.digest()
