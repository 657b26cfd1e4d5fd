"""Statuses: the five states of the engine and the names people see for them."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class State(IntEnum):
    """Where a live invocation stands (ENGINE: one control record each). Final ones have an outcome instead."""

    BLOCKED = 0
    """Not runnable yet: before its due time, or waiting for what it comes after."""
    READY = 1
    """In exactly one index: of its queue (no owner), or of its owner's resumable invocations."""
    OWNED = 2
    """Claimed by a session: started or not."""
    SUSPENDED = 3
    """Waiting for others; its owner keeps its stack but no slot."""
    FINAL = 4
    """Has an outcome and no control record."""


class InvocationStatus(StrEnum):
    """The status of an invocation as users see it."""

    REGISTERED = "registered"
    CONCURRENCY_CONTROLLED = "concurrency_controlled"
    CONCURRENCY_CONTROLLED_FINAL = "concurrency_controlled_final"
    REROUTED = "rerouted"
    PENDING = "pending"
    PENDING_RECOVERY = "pending_recovery"
    RUNNING = "running"
    RUNNING_RECOVERY = "running_recovery"
    PAUSED = "paused"
    KILLED = "killed"
    RETRY = "retry"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    def is_final(self) -> bool:
        """Whether the status never changes again."""
        return self in _FINAL

    def is_available_for_run(self) -> bool:
        """Whether a runner may claim an invocation in this status."""
        return self in _AVAILABLE


_FINAL = frozenset(
    {
        InvocationStatus.SUCCESS,
        InvocationStatus.FAILED,
        InvocationStatus.CANCELLED,
        InvocationStatus.EXPIRED,
        InvocationStatus.CONCURRENCY_CONTROLLED_FINAL,
    }
)
DEAD_STATUSES = (
    InvocationStatus.FAILED,
    InvocationStatus.EXPIRED,
    InvocationStatus.CONCURRENCY_CONTROLLED_FINAL,
)
"""What ended like this is a dead letter: nobody asked for it, and somebody may want it to run after all."""
_AVAILABLE = frozenset(
    {
        InvocationStatus.REGISTERED,
        InvocationStatus.REROUTED,
        InvocationStatus.RETRY,
        InvocationStatus.PENDING_RECOVERY,
        InvocationStatus.RUNNING_RECOVERY,
        InvocationStatus.KILLED,
    }
)


class Reason(IntEnum):
    """Why an invocation is READY or BLOCKED again, or why an attempt did not end in an outcome."""

    NEW = 0
    DELAYED = 1
    """Before its due time."""
    DEPENDENCIES = 2
    """Waits for the invocations it comes after."""
    RETRY = 3
    """An attempt failed with an error that is tried again; counted."""
    RELEASED = 4
    """Handed back by its owner before or during the run (drain, prefetch return); not counted."""
    RUNNER_LOST_PENDING = 5
    """Its owner's session ended before the body started."""
    RUNNER_LOST_RUNNING = 6
    """Its owner's session ended while the body ran; counts as a crash."""
    WORKER_CRASHED = 7
    """The worker process that ran it died; counts as a crash."""
    TIMED_OUT = 8
    """An attempt exceeded its timeout and is tried again; counted."""
    RESUMED = 9
    """What it waited for is there; its owner may go on with it."""
    REQUEUED = 10
    """A final invocation that somebody put back to run again."""
    WAITED = 11
    """Only in history: a stretch of an attempt that was spent suspended."""


def ready_status(reason: Reason) -> InvocationStatus:
    """Return the public status of a READY or BLOCKED invocation that is there for `reason`."""
    return _READY_STATUS.get(reason, InvocationStatus.REGISTERED)


def live_status(state: State, reason: Reason, *, started: bool, parked: bool = False) -> InvocationStatus:
    """Return the public status of a live invocation.

    Args:
        parked: whether it is READY, nobody's, and its lane waits for a gate.
    """
    if parked:
        return InvocationStatus.CONCURRENCY_CONTROLLED
    if state is State.OWNED:
        return InvocationStatus.RUNNING if started else InvocationStatus.PENDING
    if state is State.SUSPENDED:
        return InvocationStatus.PAUSED
    return ready_status(reason)


_READY_STATUS = {
    Reason.RETRY: InvocationStatus.RETRY,
    Reason.TIMED_OUT: InvocationStatus.RETRY,
    Reason.RELEASED: InvocationStatus.REROUTED,
    Reason.RUNNER_LOST_PENDING: InvocationStatus.PENDING_RECOVERY,
    Reason.RUNNER_LOST_RUNNING: InvocationStatus.RUNNING_RECOVERY,
    Reason.WORKER_CRASHED: InvocationStatus.KILLED,
    Reason.RESUMED: InvocationStatus.PAUSED,
}
