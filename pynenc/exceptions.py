"""Published place of the errors; `pynenc.errors` has them all."""

from __future__ import annotations

from pynenc.errors import (
    ConcurrencyRetryError,
    ConfigError,
    InvalidTaskOptionsError,
    InvocationConcurrencyWithDifferentArgumentsError,
    InvocationError,
    InvocationNotFoundError,
    InvocationStatusError,
    InvocationStatusOwnershipError,
    InvocationStatusRaceConditionError,
    InvocationStatusTransitionError,
    PynencError,
    RetryError,
    RunnerError,
    SerializationError,
    StateBackendError,
    TaskError,
    TaskParallelProcessingError,
    TaskRoutingError,
)

__all__ = [
    "ConcurrencyRetryError",
    "ConfigError",
    "InvalidTaskOptionsError",
    "InvocationConcurrencyWithDifferentArgumentsError",
    "InvocationError",
    "InvocationNotFoundError",
    "InvocationStatusError",
    "InvocationStatusOwnershipError",
    "InvocationStatusRaceConditionError",
    "InvocationStatusTransitionError",
    "PynencError",
    "RetryError",
    "RunnerError",
    "SerializationError",
    "StateBackendError",
    "TaskError",
    "TaskParallelProcessingError",
    "TaskRoutingError",
]
