"""The options of a task, after every source was heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pynenc.conf.config_task import ConcurrencyControlType
from pynenc.config.sources import Entry, Rank, option_value
from pynenc.errors import InvalidTaskOptionsError, RetryError
from pynenc.model.policies import RunPolicy

if TYPE_CHECKING:
    from pynenc.config.app_config import AppConfig
    from pynenc.ports.serializer import Serializer


class TaskOptions(Struct, frozen=True, kw_only=True):
    """Options in force of one task. Durations in seconds."""

    max_retries: int = 0
    retry_for: tuple[type[BaseException], ...] = (RetryError,)
    retry_delay: float = 0.0
    """Before the first retry; grows by `retry_backoff` with each, up to `retry_max_delay`."""
    retry_backoff: float = 2.0
    retry_max_delay: float = 300.0
    retry_jitter: bool = True
    """Whether the wait is drawn between zero and what the backoff says ("full")."""
    timeout: float | None = None
    """Of one attempt."""
    retry_on_timeout: bool = False
    cpu_limit: float | None = None
    """Processor time of one attempt; kept where bodies run in worker processes."""
    wait_timeout: float | None = None
    """Longest time that a body may wait for the results of others."""
    queue: str = "default"
    priority: float = 0.0
    """-100 to 100, higher first where the scheduler goes by it."""
    delay: float | None = None
    """Not begun before so long after the call."""
    start_at: datetime | None = None
    """Not begun before this instant; `delay` does not count then."""
    expires: float | None = None
    """Dropped if not begun so long after the call."""
    deadline: float | datetime | None = None
    """By when it should be done, from the call on or as an instant; orders under the deadline scheduler."""
    running_concurrency: ConcurrencyControlType = ConcurrencyControlType.DISABLED
    registration_concurrency: ConcurrencyControlType = ConcurrencyControlType.DISABLED
    key_arguments: tuple[str, ...] = ()
    running_limit: int = 1
    reroute_on_concurrency_control: bool = False
    on_diff_non_key_args_raise: bool = False
    rate_limit: Any = None
    idempotency_key: str | Callable[..., str] | None = None
    """A key, or a function of the call's arguments that returns one: one invocation per key."""
    debounce: Any = None
    call_result_cache: bool = False
    disable_cache_args: tuple[str, ...] = ()
    """Arguments that do not tell calls apart; ("*",) for none that do."""
    parallel_batch_size: int = 100
    triggers: Any = None
    retention: float | None = None
    """How long the outcome is kept; None: as the app says."""
    serializer: str | Serializer | None = None
    client_data_threshold: int | None = None
    force_new_workflow: bool = False
    is_workflow_task: bool = False

    @staticmethod
    def check(task_id: str, decorator_kwargs: Mapping[str, Any]) -> None:
        """Check what a decorator says, as early as possible.

        Raises:
            InvalidTaskOptionsError: an option is unknown or ill-typed.
            NotYetAvailable: an option asks for what this release does not have.
        """
        _checked(_of_decorator(task_id, decorator_kwargs))

    @classmethod
    def build(cls, task_id: str, decorator_kwargs: Mapping[str, Any], config: AppConfig) -> TaskOptions:
        """Return the options in force: environment, decorator, then the other sources of the app.

        Raises:
            InvalidTaskOptionsError: an option is unknown or ill-typed; names it and its source.
            NotYetAvailable: an option asks for what this release does not have.
        """
        entries = config.task_options(task_id, _of_decorator(task_id, decorator_kwargs))
        options = cls(**_checked(entries))
        return options if "priority" in entries else replace(options, priority=_ruled_priority(task_id, config))

    def replace(self, **overrides: Any) -> TaskOptions:
        """Return these options with some replaced, checked like all others.

        Raises:
            InvalidTaskOptionsError: an option is unknown, ill-typed, or one that does not travel with a call.
        """
        if "retry_for" in overrides:
            raise InvalidTaskOptionsError(
                "retry_for=… of options(…) has no effect: runners go by the classes that the task was decorated with"
            )
        entries = {name: Entry(value, "options(...)") for name, value in overrides.items()}
        return replace(self, **_checked(entries))

    def deadline_us(self, now_us: int) -> int:
        """Return the deadline of a call made at `now_us` as an instant; the option must be set."""
        deadline = self.deadline
        if isinstance(deadline, datetime):
            return round(deadline.timestamp() * 1_000_000)
        return now_us + _us(deadline or 0.0)

    def policy(self) -> RunPolicy:
        """Return what travels with each call."""
        return RunPolicy(
            max_retries=self.max_retries,
            retry_delay_us=_us(self.retry_delay),
            retry_backoff=self.retry_backoff,
            retry_max_delay_us=_us(self.retry_max_delay),
            retry_jitter=self.retry_jitter,
            timeout_us=None if self.timeout is None else _us(self.timeout),
            retry_on_timeout=self.retry_on_timeout,
            wait_timeout_us=None if self.wait_timeout is None else _us(self.wait_timeout),
            cpu_limit_us=None if self.cpu_limit is None else _us(self.cpu_limit),
        )


def _ruled_priority(task_id: str, config: AppConfig) -> float:
    """Return the priority of the first of the `priority_rules` that fits a task."""
    for pattern, priority in config.priority_rules.items():
        if fnmatchcase(task_id, pattern):
            return priority
    return 0.0


def _of_decorator(task_id: str, values: Mapping[str, Any]) -> dict[str, Entry]:
    origin = f"the decorator of {task_id}"
    return {name: Entry(value, origin, Rank.GIVEN) for name, value in values.items()}


def _checked(entries: Mapping[str, Entry]) -> dict[str, Any]:
    return {
        name: option_value(name, entry.value, entry.origin, InvalidTaskOptionsError) for name, entry in entries.items()
    }


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
