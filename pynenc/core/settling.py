"""What follows a failed attempt: another one, or the end."""

from __future__ import annotations

from pynenc.model.policies import RunPolicy, retry_delay_us
from pynenc.model.records import Claim, Completion, Failure, Retry
from pynenc.model.status import Reason


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


def timeout_or_failure(claim: Claim, policy: RunPolicy, error: bytes) -> Completion:
    """Return what follows an attempt that exceeded its timeout."""
    if not policy.retry_on_timeout:
        return failure(claim, error, 0)
    return retry_or_failure(claim, policy, error, 0, reason=Reason.TIMED_OUT)
