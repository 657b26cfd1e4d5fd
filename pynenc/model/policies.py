"""What of a task's options travels with each call, so that any runner can apply it without the task's code."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct

from pynenc.model.ids import InvocationId


class RunPolicy(Struct, frozen=True, kw_only=True, array_like=True):
    """Limits of one attempt and what follows a failed one. Durations in microseconds."""

    max_retries: int = 0
    retry_delay_us: int = 0
    retry_backoff: float = 2.0
    retry_max_delay_us: int = 300_000_000
    retry_jitter: bool = True
    timeout_us: int | None = None
    retry_on_timeout: bool = False
    wait_timeout_us: int | None = None
    cpu_limit_us: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RunPolicy)
_DEFAULT = RunPolicy()


def encode_policy(policy: RunPolicy) -> bytes:
    """Return `policy` for a `Submission`; the default is b""."""
    return b"" if policy == _DEFAULT else _encoder.encode(policy)


def decode_policy(data: bytes) -> RunPolicy:
    """Return the policy that `encode_policy` wrote.

    Raises:
        ValueError: the bytes are no policy.
    """
    try:
        return _decoder.decode(data) if data else _DEFAULT
    except msgspec.MsgspecError as error:
        raise ValueError(f"its stored policy cannot be read: {error}") from error


def has_cpu_limit(data: bytes) -> bool:
    """Whether a stored policy limits processor time; one that cannot be read does not."""
    try:
        return bool(data) and decode_policy(data).cpu_limit_us is not None
    except ValueError:
        return False


def retry_delay_us(policy: RunPolicy, invocation_id: InvocationId, failures: int) -> int:
    """Return how long to wait before an invocation runs again, in microseconds.

    Exponential backoff with full jitter: uniform from zero to
    min(retry_max_delay, retry_delay * retry_backoff ** (failures - 1)), so that many failures of one cause do
    not all return at one moment. The jitter is a hash of (id, failures): reproducible, different for each.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        failures: counted attempts that failed so far, at least 1.
    """
    # 2.0 ** 1024 overflows a float; every cap is reached long before 900 doublings.
    try:
        grown = policy.retry_delay_us * policy.retry_backoff ** min(failures - 1, 900)
    except OverflowError:
        grown = float(policy.retry_max_delay_us)
    bound = min(float(policy.retry_max_delay_us), grown)
    if not policy.retry_jitter:
        return int(bound)
    digest = blake2b(invocation_id + failures.to_bytes(8, "big"), digest_size=8).digest()
    return int(bound * (int.from_bytes(digest, "big") / 2**64))
