"""Everything Pynenc raises. Facts are attributes; `code` is the same in every language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class PynencError(Exception):
    """Base of all errors of this package."""

    code: ClassVar[str] = "error"


# --- control flow raised by tasks -----------------------------------------------------------------------


class RetryError(PynencError):
    """Raised by a task to run again, within `max_retries`."""

    code = "retry"


class ConcurrencyRetryError(RetryError):
    """A retry that concurrency control asks for."""

    code = "concurrency_retry"


class Retry(RetryError):
    """Raised by a task to run again after a delay of its own choosing, within `max_retries`.

    Args:
        after: seconds (or a timedelta) until the next attempt; None: what the task's options say.
    """

    code = "retry"

    def __init__(self, message: str = "", *, after: Any = None) -> None:
        super().__init__(message)
        self.after = after


class Cancel(PynencError):
    """Raised by a task to end its own invocation as CANCELLED."""

    code = "cancel"


# --- configuration and options --------------------------------------------------------------------------


class ConfigurationError(PynencError):
    """A setting is unknown, ill-typed or impossible here; the text names field, source and what to do."""

    code = "configuration"


ConfigError = ConfigurationError


class NotYetAvailable(ConfigurationError):
    """A feature that this release does not have yet, refused by name instead of being ignored."""

    code = "not_yet_available"

    def __init__(self, feature: str, hint: str = "") -> None:
        self.feature = feature
        super().__init__(f"{feature} is not available in this release{'; ' + hint if hint else ''}")


class GatesUnsupported(ConfigurationError):
    """Gates, a flow or a mode of deduplication that the store does not have; nothing was created or changed."""

    code = "gates_unsupported"

    def __init__(self, what: str, *, store: str = "", having: Sequence[str] = ()) -> None:
        """
        Args:
            what: what is asked for.
            store: the URL of the store that does not have it.
            having: schemes of stores that do.
        """
        self.what = what
        named = f"the store {store}" if store else "this store"
        others = f"one that has them ({', '.join(having)})" if having else "a store whose capabilities name gates"
        super().__init__(f"{what}: {named} has no gates to keep limits with; leave it out, or use {others}")


class InvalidGate(ConfigurationError):
    """A gate, flow or setting with a number out of its bounds, or a key that is too long."""

    code = "invalid_gate"


# --- tasks ----------------------------------------------------------------------------------------------


class TaskError(PynencError):
    """Something about a task."""

    code = "task"


class InvalidTaskOptionsError(TaskError, ConfigurationError):
    """A task option is unknown or ill-typed."""

    code = "invalid_task_options"


class TaskNotFound(TaskError, LookupError):
    """No task of that name can be found by this process."""

    code = "task_not_found"


class TaskRoutingError(TaskError):
    """An invocation could not be handed to the store."""

    code = "task_routing"


class InvocationConcurrencyWithDifferentArgumentsError(TaskRoutingError):
    """A registration with the same key but other arguments exists.

    Attributes:
        task_id: the task.
        existing_invocation_id: what is registered.
        diff: a line for each argument that is not the same.
    """

    code = "different_arguments"

    def __init__(self, task_id: str, existing_invocation_id: str, diff: str = "") -> None:
        super().__init__(task_id, existing_invocation_id, diff)
        self.task_id = task_id
        self.existing_invocation_id = existing_invocation_id
        self.diff = diff

    def __str__(self) -> str:
        return (
            f"{self.task_id} {self.existing_invocation_id} has the same key but other arguments, and the task says "
            f"on_diff_non_key_args_raise:\n{self.diff}"
        )


class TaskParallelProcessingError(TaskError):
    """`parallel_func` or `aggregate_func` of a direct task cannot be applied."""

    code = "parallel_processing"


class TaskFailed(PynencError):
    """A remote error whose own class this process may not or cannot rebuild.

    Attributes:
        remote_type: qualified name of the class that was raised.
        remote_message: its text.
        remote_traceback: the traceback as text.
    """

    code = "task_failed"

    def __init__(self, remote_type: str, remote_message: str, remote_traceback: str = "") -> None:
        super().__init__(remote_type, remote_message)
        self.remote_type = remote_type
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        return f"{self.remote_type}: {self.remote_message}"


class RemoteTraceback(PynencError):
    """Cause of an exception that was raised elsewhere: shows where."""

    code = "remote_traceback"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"


# --- invocations ----------------------------------------------------------------------------------------


class InvocationError(PynencError):
    """Something about an invocation."""

    code = "invocation"

    def __init__(self, message: str = "", *, invocation_id: str | None = None) -> None:
        super().__init__(message)
        self.invocation_id = invocation_id


class InvocationCancelled(InvocationError):
    """The result of a cancelled invocation was asked for."""

    code = "invocation_cancelled"


class InvocationExpired(InvocationError):
    """The result of an invocation that expired before it started was asked for."""

    code = "invocation_expired"


class InvocationDropped(InvocationError, KeyError):
    """The result of an invocation that concurrency control dropped was asked for."""

    code = "invocation_dropped"

    def __str__(self) -> str:
        return Exception.__str__(self)


class WorkerLost(InvocationError):
    """An invocation ended because its workers died too often; the text says how."""

    code = "worker_lost"


class DependencyFailed(InvocationError):
    """An invocation failed because one that it came after did not succeed."""

    code = "dependency_failed"


class LimitExceeded(InvocationError):
    """An attempt was stopped because it exceeded a limit.

    Attributes:
        peak_memory_bytes: the most that its worker process used; 0: not known.
        log_lines: what its worker process logged last, oldest first.
        stack: where the body stood; "": not known.
    """

    code = "limit_exceeded"
    peak_memory_bytes: int = 0
    log_lines: tuple[str, ...] = ()
    stack: str = ""


class TaskTimeout(LimitExceeded, TimeoutError):
    """An attempt exceeded the `timeout` of its task."""

    code = "task_timeout"


class TaskCpuTimeExceeded(TaskTimeout):
    """An attempt used more processor time than the `cpu_limit` of its task."""

    code = "task_cpu_time_exceeded"


class TaskMemoryExceeded(LimitExceeded, MemoryError):
    """A body made its worker process use more memory than `worker_hard_memory_limit`."""

    code = "task_memory_exceeded"


class ResultTimeout(InvocationError, TimeoutError):
    """A result was not there within the time the caller gave; the invocation goes on."""

    code = "result_timeout"


class WaitCycle(InvocationError):
    """Waiting would never end: the invocations in `cycle` wait for each other."""

    code = "wait_cycle"

    def __init__(self, cycle: tuple[str, ...], message: str = "") -> None:
        super().__init__(message or "these invocations would wait for each other: " + " -> ".join(cycle))
        self.cycle = cycle


class InvocationStatusError(PynencError):
    """A change of status that is not possible."""

    code = "invocation_status"


class InvocationStatusRaceConditionError(InvocationStatusError):
    """Somebody else changed the status first."""

    code = "status_race"


class InvocationStatusTransitionError(InvocationStatusError):
    """The lifecycle has no such transition."""

    code = "status_transition"


class InvocationStatusOwnershipError(InvocationStatusError):
    """The runner does not own the invocation."""

    code = "status_ownership"


# --- values ---------------------------------------------------------------------------------------------


class SerializationError(PynencError):
    """A value cannot be kept exactly, or stored bytes cannot be turned back.

    Attributes:
        path: where in the value, such as `order.lines[3].price`; "" for the whole.
    """

    code = "serialization"

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class CarrierFull(PynencError):
    """Something does not fit into what travels with an invocation; the text says what and how much fits."""

    code = "carrier_full"


class ProtocolError(PynencError):
    """Bytes from outside that are not what the protocol says."""

    code = "protocol"


class UnknownVersion(ProtocolError):
    """Written by a version of the protocol that this release does not know."""

    code = "unknown_version"


class MalformedMessage(ProtocolError):
    """Not a message of this protocol, or a damaged one."""

    code = "malformed_message"


# --- stores ---------------------------------------------------------------------------------------------


class StoreError(PynencError):
    """The store refused or failed an operation."""

    code = "store"


class StoreUnavailable(StoreError):
    """The store could not be reached or did not answer; the operation may or may not have happened."""

    code = "store_unavailable"


class StoreTimeout(StoreUnavailable):
    """The store was busy for too long; nothing happened."""

    code = "store_timeout"


class StoreFull(StoreError):
    """No space is left; nothing happened."""

    code = "store_full"


class StoreReadOnly(StoreError):
    """The store cannot be written with the rights this process has; nothing happened."""

    code = "store_read_only"


class StoreCorrupted(StoreError):
    """The store's data is damaged, or is not a store of Pynenc."""

    code = "store_corrupted"


class DataOutOfReach(StoreUnavailable):
    """A large value cannot be read where it is kept; the text says why."""

    code = "data_out_of_reach"


class ResultNotKept(StoreError):
    """A body ended well, but its result could not be kept; the text says why and what to do."""

    code = "result_not_kept"


class SchemaTooNew(StoreError):
    """The store was written by a newer release."""

    code = "schema_too_new"


class StoreSealed(StoreError):
    """The store takes part in a move to another one, or was moved; nothing happened."""

    code = "store_sealed"


class SessionGone(StoreError):
    """The session ended; what it owned belongs to others now."""

    code = "session_gone"


class StateBackendError(StoreError):
    """Something about stored invocations."""

    code = "state_backend"


class InvocationNotFound(StateBackendError, LookupError):
    """No invocation has this id, or it was purged."""

    code = "invocation_not_found"


InvocationNotFoundError = InvocationNotFound

# --- runners --------------------------------------------------------------------------------------------


class RunnerError(PynencError):
    """Something about a runner."""

    code = "runner"


class RunnerStopped(RunnerError):
    """Raised inside a body whose run was superseded, or whose runner ends."""

    code = "runner_stopped"
