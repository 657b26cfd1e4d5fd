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
from pynenc.limits import Breaker, By, Limit, Order, Rate
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
    """Which calls are one and the same until one of them is claimed, or as `unique_until` and `unique_for` say."""
    key_arguments: tuple[str, ...] = ()
    running_limit: int = 1
    """So many that `running_concurrency` does not tell apart run at a time."""
    reroute_on_concurrency_control: bool = False
    """Whether what is above `running_limit` waits; else it ends CONCURRENCY_CONTROLLED_FINAL."""
    hold_while_waiting: bool = False
    """Whether a run that waits for others still counts, and lends its place to what it submitted."""
    on_diff_non_key_args_raise: bool = False
    unique_until: str = "claimed"
    """`claimed`, or `finished`: whatever becomes of the first call, until it has ended."""
    unique_for: float | None = None
    """Calls are one and the same for so long after the first."""
    debounce: float | None = None
    """Begun once no such call came for so long, with the arguments of the last one."""
    limits: tuple[Limit, ...] = ()
    rate_limit: tuple[Rate, ...] = ()
    """All of them hold."""
    circuit_breaker: Breaker | None = None
    ordering_key: By | Order | None = None
    share_key: By | None = None
    """Whose share of the queue a call takes under the scheduler `fair`; None: the task's own."""
    share_weight: int = 1
    idempotency_key: str | Callable[..., str] | None = None
    """A key, or a function of the call's arguments that returns one: one invocation per key."""
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
    def check(task_id: str, decorator_kwargs: Mapping[str, Any]) -> TaskOptions:
        """Check what a decorator says, as early as possible; return it.

        Raises:
            InvalidTaskOptionsError: an option is unknown or ill-typed.
            NotYetAvailable: an option asks for what this release does not have.
        """
        return TaskOptions(**_checked(_of_decorator(task_id, decorator_kwargs)))

    @classmethod
    def build(cls, task_id: str, decorator_kwargs: Mapping[str, Any], config: AppConfig) -> TaskOptions:
        """Return the options in force: environment, decorator, then the other sources of the app.

        Raises:
            InvalidTaskOptionsError: an option is unknown or ill-typed; names it and its source.
            NotYetAvailable: an option asks for what this release does not have.
        """
        entries = config.task_options(task_id, _of_decorator(task_id, decorator_kwargs))
        options = cls(**_checked(entries))
        if options.running_limit > 1 and "running_concurrency" not in entries:
            raise _counts_nothing(entries["running_limit"].origin)
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
        replaced = replace(self, **_checked(entries))
        counts = replaced.running_concurrency is not ConcurrencyControlType.DISABLED
        if "running_limit" in overrides and replaced.running_limit > 1 and not counts:
            raise _counts_nothing("options(...)")
        return replaced

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


def _counts_nothing(origin: str) -> InvalidTaskOptionsError:
    return InvalidTaskOptionsError(
        f"running_limit in {origin} needs running_concurrency, which says what is counted (task, arguments or keys), "
        "and reroute_on_concurrency_control=True if what is above the limit is to wait"
    )


def _of_decorator(task_id: str, values: Mapping[str, Any]) -> dict[str, Entry]:
    origin = f"the decorator of {task_id}"
    return {name: Entry(value, origin, Rank.GIVEN) for name, value in values.items()}


def _checked(entries: Mapping[str, Entry]) -> dict[str, Any]:
    return {
        name: option_value(name, entry.value, entry.origin, InvalidTaskOptionsError) for name, entry in entries.items()
    }


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
