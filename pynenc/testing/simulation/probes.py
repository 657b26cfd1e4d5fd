"""Checks at a moment: what one look into the store tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from pynenc.model.gates import keep_order
from pynenc.model.ids import InvocationId
from pynenc.model.ranks import before
from pynenc.model.records import Control, Exchange, Snapshot, Suspend, Verdict, Violation
from pynenc.model.status import InvocationStatus, State
from pynenc.testing.simulation.gate_view import GateView
from pynenc.testing.simulation.history import Applied, Finding


def passed_over(
    record: Applied, snapshots: Collection[Snapshot], paused: Collection[str], gates: GateView
) -> Iterator[Finding]:
    """C7: after an exchange that found less than it wanted, nothing it could have had is left.

    Except what its last step let go on: a claim that ends something, expired or rejected, may wake a waiter. And what
    timers would have let in for which its budget did not suffice.
    """
    request: Exchange = record.arguments[0]
    found = len(record.reply.claims) + len(record.reply.resumed)
    if found >= request.want or (request.before is not None and gates.shared):
        return
    expired = any(_ended_at(snapshot, record.at_us) for snapshot in snapshots)
    for snapshot in snapshots:
        control = snapshot.control
        if control is not None and control.state is State.READY:
            mine = control.owner == request.session and not expired
            free = control.owner is None and request.claim_new and snapshot.call.queue not in paused
            free = free and not request.awaited and (request.before is None or control.rank < request.before)
            if snapshot.call.gates and (record.reply.more or gates.stopped(snapshot.call.invocation_id)):
                continue
            if mine or (free and _serves(request.queues, snapshot.call.queue)):
                detail = f"claimable, but session {request.session} got {found} of {request.want} wanted"
                yield Finding("C7", snapshot.call.invocation_id, detail)


def left_behind(record: Applied, snapshots: Collection[Snapshot]) -> Iterator[Finding]:
    """C14: what a body waits for that asked for that stands before it, unless somebody has it, or had it until now."""
    request: Exchange = record.arguments[0]
    live = {each.call.invocation_id: each for each in snapshots if each.control is not None}
    for wish, reply in zip(request.completions, record.reply.verdicts, strict=True):
        waiter = live.get(wish.invocation_id)
        if not isinstance(wish, Suspend) or not wish.inherit or reply.verdict is not Verdict.ACCEPTED:
            continue
        if waiter is None or waiter.control is None or waiter.control.state is not State.SUSPENDED:
            continue
        for awaited in (live[each] for each in wish.waits if each in live):
            control = awaited.control
            if control is None or control.owner is not None or keep_order(awaited.call.gates):
                continue
            if awaited.attempts and awaited.attempts[-1].ended_at_us == record.at_us:
                continue
            if control.rank > before(waiter.control.rank):
                yield Finding("C14", awaited.call.invocation_id, "is waited for by what goes before it")


def _ended_at(snapshot: Snapshot, at_us: int) -> bool:
    outcome = snapshot.outcome
    return outcome is not None and outcome.status in _ENDED_BY_CLAIMS and outcome.ended_at_us == at_us


_ENDED_BY_CLAIMS = (InvocationStatus.EXPIRED, InvocationStatus.CONCURRENCY_CONTROLLED_FINAL)


def unserved(
    snapshots: Iterable[Snapshot],
    free: Collection[tuple[str, ...]],
    paused: Collection[str],
    now_us: int,
    gates: GateView,
) -> Iterator[Finding]:
    """Return what could run right now on somebody with a free slot; found twice in a row, nobody was woken.

    Args:
        free: the queues of each runner with a free slot.
    """
    for snapshot in snapshots:
        control, queue = snapshot.control, snapshot.call.queue
        if control is not None and free and _runnable(control, now_us) and queue not in paused:
            if snapshot.call.gates and (control.state is State.BLOCKED or gates.stopped(snapshot.call.invocation_id)):
                continue
            serving = sorted(queues for queues in free if _serves(queues, queue))
            if control.owner is None and serving:
                detail = f"lies there {control.state.name} at epoch {control.epoch}, served by {serving}"
                yield Finding("C9", snapshot.call.invocation_id, detail)


def left_waiting(
    snapshots: Iterable[Snapshot],
    awaited: Sequence[tuple[InvocationId, ...]],
    queues: tuple[str, ...],
    paused: Collection[str],
    gates: GateView,
) -> Iterator[Finding]:
    """Return what a runner without work does not claim although each of its bodies waits for something claimable.

    Args:
        awaited: what each of its bodies waits for.
    """
    claimable = {
        snapshot.call.invocation_id
        for snapshot in snapshots
        if snapshot.control is not None
        and snapshot.control.state is State.READY
        and snapshot.control.owner is None
        and _serves(queues, snapshot.call.queue)
        and snapshot.call.queue not in paused
        and gates.reachable(snapshot.call.invocation_id)
    }
    if awaited and all(claimable.intersection(ids) for ids in awaited):
        yield Finding("C13", awaited[0][0], "lies there READY, and its runner has nothing to do but wait for it")


def _runnable(control: Control, now_us: int) -> bool:
    if control.state is State.READY:
        return True
    due = control.not_before_us
    return control.state is State.BLOCKED and control.need_left == 0 and due is not None and due <= now_us


def _serves(queues: tuple[str, ...], queue: str) -> bool:
    return queue in queues if queues else ":" not in queue


def broken_structure(violations: Iterable[Violation]) -> list[Finding]:
    """C11: what the store's own verifier found."""
    return [Finding(f"C11 {item.invariant}", item.invocation_id, item.detail) for item in violations]
