"""The lifecycle. Generated from protocol/statuses.json by scripts/generate_constants: change that file."""

from __future__ import annotations

from pynenc.model.status import InvocationStatus as S

MEANINGS: dict[S, str] = {
    S.REGISTERED: "Stored; not claimed yet, or not runnable yet.",
    S.CONCURRENCY_CONTROLLED: "Blocked by a concurrency limit.",
    S.CONCURRENCY_CONTROLLED_FINAL: "Dropped by a concurrency limit.",
    S.REROUTED: "Handed back by its runner; any runner may claim it.",
    S.PENDING: "Claimed by a runner; its body has not begun.",
    S.PENDING_RECOVERY: "Its runner was lost before the body began.",
    S.RUNNING: "Its body runs.",
    S.RUNNING_RECOVERY: "Its runner was lost while the body ran.",
    S.PAUSED: "Its body waits for other invocations and holds no slot.",
    S.KILLED: "The worker that ran it died.",
    S.RETRY: "An attempt failed; another one follows.",
    S.SUCCESS: "Its body returned.",
    S.FAILED: "Its body raised for the last time, or too many workers died.",
    S.CANCELLED: "Somebody cancelled it, or it cancelled itself.",
    S.EXPIRED: "It did not start in time.",
}

RESERVED: frozenset[S] = frozenset({S.CONCURRENCY_CONTROLLED, S.CONCURRENCY_CONTROLLED_FINAL})
"""Statuses that no release reaches yet."""

TRANSITIONS: tuple[tuple[S | None, S, str], ...] = (
    (None, S.REGISTERED, "submitted"),
    (S.REGISTERED, S.PENDING, "claimed"),
    (S.REROUTED, S.PENDING, "claimed"),
    (S.RETRY, S.PENDING, "claimed"),
    (S.PENDING_RECOVERY, S.PENDING, "claimed"),
    (S.RUNNING_RECOVERY, S.PENDING, "claimed"),
    (S.KILLED, S.PENDING, "claimed"),
    (S.PENDING, S.RUNNING, "body began"),
    (S.PENDING, S.REROUTED, "handed back"),
    (S.PENDING, S.PENDING_RECOVERY, "runner lost"),
    (S.PENDING, S.CANCELLED, "cancelled"),
    (S.RUNNING, S.SUCCESS, "returned"),
    (S.RUNNING, S.FAILED, "raised"),
    (S.RUNNING, S.RETRY, "raised, is tried again"),
    (S.RUNNING, S.PAUSED, "waits for others"),
    (S.RUNNING, S.REROUTED, "handed back"),
    (S.RUNNING, S.RUNNING_RECOVERY, "runner lost"),
    (S.RUNNING, S.KILLED, "worker died"),
    (S.RUNNING, S.CANCELLED, "cancelled"),
    (S.PAUSED, S.RUNNING, "goes on"),
    (S.PAUSED, S.RUNNING_RECOVERY, "runner lost"),
    (S.PAUSED, S.REROUTED, "handed back"),
    (S.PAUSED, S.CANCELLED, "cancelled"),
    (S.KILLED, S.FAILED, "too many crashes"),
    (S.RUNNING_RECOVERY, S.FAILED, "too many crashes"),
    (S.REGISTERED, S.CANCELLED, "cancelled"),
    (S.REROUTED, S.CANCELLED, "cancelled"),
    (S.RETRY, S.CANCELLED, "cancelled"),
    (S.PENDING_RECOVERY, S.CANCELLED, "cancelled"),
    (S.RUNNING_RECOVERY, S.CANCELLED, "cancelled"),
    (S.KILLED, S.CANCELLED, "cancelled"),
    (S.REGISTERED, S.EXPIRED, "not started in time"),
    (S.REROUTED, S.EXPIRED, "not started in time"),
    (S.PENDING_RECOVERY, S.EXPIRED, "not started in time"),
    (S.SUCCESS, S.REGISTERED, "requeued"),
    (S.FAILED, S.REGISTERED, "requeued"),
    (S.CANCELLED, S.REGISTERED, "requeued"),
    (S.EXPIRED, S.REGISTERED, "requeued"),
)
"""From (None: the beginning), to, why."""

SKIPPING_RUNNING: frozenset[S] = frozenset({S.SUCCESS, S.FAILED, S.RETRY, S.PAUSED, S.KILLED, S.RUNNING_RECOVERY})
"""What may follow PENDING at once if the runner reported no start of its own: the body ended at once."""
