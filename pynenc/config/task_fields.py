"""Every option of a task: how it is read, and which of them this release does not have yet."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pynenc.conf.config_task import ConcurrencyControlType
from pynenc.config import kinds, limit_kinds
from pynenc.config.kinds import Kind
from pynenc.errors import RetryError
from pynenc.model.gates import MOST_WEIGHT

_WORKFLOWS = "workflows are not part of this release"


class Option(Struct, frozen=True):
    """How an option is read. `coming`: only the default is possible in this release, for this reason."""

    kind: Kind
    default: Any = None
    coming: str | None = None


def _jitter(value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("full", "none"):
        return value.strip().lower() == "full"
    found: bool = kinds.FLAG.convert(value)
    return found


_FLAG = Option(kinds.FLAG, False)
_LIMIT = Option(kinds.optional(kinds.duration(above_zero=True)))
_EXCLUSIVE = Option(kinds.one_of(ConcurrencyControlType), ConcurrencyControlType.DISABLED)

OPTIONS: dict[str, Option] = {
    "max_retries": Option(kinds.whole(), 0),
    "retry_for": Option(kinds.EXCEPTIONS, (RetryError,)),
    "retry_delay": Option(kinds.duration(), 0.0),
    "retry_backoff": Option(kinds.number(1), 2.0),
    "retry_max_delay": Option(kinds.duration(), 300.0),
    "retry_jitter": Option(Kind("'full' or 'none', or true or false", _jitter), True),
    "timeout": _LIMIT,
    "retry_on_timeout": _FLAG,
    "cpu_limit": _LIMIT,
    "wait_timeout": _LIMIT,
    "queue": Option(kinds.QUEUE, "default"),
    "priority": Option(kinds.PRIORITY, 0.0),
    "delay": Option(kinds.optional(kinds.duration())),
    "start_at": Option(kinds.optional(kinds.INSTANT)),
    "expires": _LIMIT,
    "deadline": Option(kinds.optional(kinds.DEADLINE)),
    "running_concurrency": _EXCLUSIVE,
    "registration_concurrency": _EXCLUSIVE,
    "key_arguments": Option(kinds.NAMES, ()),
    "running_limit": Option(kinds.whole(1), 1),
    "reroute_on_concurrency_control": _FLAG,
    "hold_while_waiting": _FLAG,
    "on_diff_non_key_args_raise": _FLAG,
    "unique_until": Option(kinds.word_of("claimed", "finished"), "claimed"),
    "unique_for": _LIMIT,
    "debounce": _LIMIT,
    "limits": Option(limit_kinds.LIMITS, ()),
    "rate_limit": Option(limit_kinds.RATES, ()),
    "circuit_breaker": Option(kinds.optional(limit_kinds.BREAKER)),
    "ordering_key": Option(kinds.optional(limit_kinds.ORDER)),
    "share_key": Option(kinds.optional(limit_kinds.KEY_OF_ARGUMENTS)),
    "share_weight": Option(kinds.whole(1, MOST_WEIGHT), 1),
    "idempotency_key": Option(kinds.optional(kinds.KEY)),
    "call_result_cache": _FLAG,
    "disable_cache_args": Option(kinds.NAMES, ()),
    "parallel_batch_size": Option(kinds.BATCH, 100),
    "triggers": Option(kinds.optional(kinds.SEVERAL), None, "triggers are not part of this release"),
    "retention": _LIMIT,
    "serializer": Option(kinds.optional(kinds.ANYTHING)),
    "client_data_threshold": Option(kinds.optional(kinds.whole())),
    "force_new_workflow": Option(kinds.FLAG, False, _WORKFLOWS),
    "is_workflow_task": Option(kinds.FLAG, False, _WORKFLOWS),
}
