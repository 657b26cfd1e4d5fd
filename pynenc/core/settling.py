"""What follows a failed attempt: another one, or the end."""

from __future__ import annotations

from pynenc.errors import LimitExceeded, TaskCpuTimeExceeded, TaskMemoryExceeded, TaskTimeout
from pynenc.model.ids import id_text
from pynenc.model.policies import RunPolicy, retry_delay_us
from pynenc.model.records import Claim, Completion, Failure, Retry
from pynenc.model.status import Reason
from pynenc.ports.stopping import Seen, StopReason


def failure(claim: Claim, error: bytes, worker: int) -> Failure:
    """Return the end of an invocation whose body raised for good."""
    return Failure(invocation_id=claim.invocation_id, epoch=claim.epoch, error=error, worker=worker)


def retry_or_failure(
    claim: Claim,
    policy: RunPolicy,
    error: bytes,
    worker: int,
    *,
    delay_us: int | None = None,
    reason: Reason = Reason.RETRY,
) -> Completion:
    """Return a retry while the policy allows one, else the failure.

    Args:
        delay_us: what the body asked for; None: what the policy says.
    """
    if claim.attempt > policy.max_retries:
        return failure(claim, error, worker)
    if delay_us is None:
        delay_us = retry_delay_us(policy, claim.invocation_id, claim.attempt)
    return Retry(
        invocation_id=claim.invocation_id,
        epoch=claim.epoch,
        error=error,
        delay_us=delay_us,
        reason=reason,
        worker=worker,
    )


def limit_error(claim: Claim, policy: RunPolicy, why: StopReason, seen: Seen) -> LimitExceeded:
    """Return the error of an attempt that was stopped for exceeding a limit.

    Its attributes `peak_memory_bytes`, `log_lines` and `stack` are what was seen; its note shows them.
    """
    kind, limit = {
        StopReason.TIMEOUT: (TaskTimeout, f"exceeded its timeout of {(policy.timeout_us or 0) / 1e6:g} s"),
        StopReason.CPU_TIME: (
            TaskCpuTimeExceeded,
            f"used more than its {(policy.cpu_limit_us or 0) / 1e6:g} s of processor time",
        ),
        StopReason.MEMORY: (TaskMemoryExceeded, "used more memory than its worker process may"),
    }[why]
    error = kind(
        f"attempt {claim.attempt} of {claim.task_id} {limit}: {seen.summary}",
        invocation_id=id_text(claim.invocation_id),
    )
    error.peak_memory_bytes = seen.memory_bytes
    error.log_lines = seen.lines
    error.stack = seen.stack
    if seen.details:
        error.add_note(seen.details)
    return error


def timeout_or_failure(claim: Claim, policy: RunPolicy, error: bytes) -> Completion:
    """Return what follows an attempt that exceeded its timeout."""
    if not policy.retry_on_timeout:
        return failure(claim, error, 0)
    return retry_or_failure(claim, policy, error, 0, reason=Reason.TIMED_OUT)
