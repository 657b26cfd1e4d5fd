"""Settings of mechanisms that Pynenc does not have any more: accepted, checked, and without effect.

`retired` says what stands in the place of each; `pynenc doctor` and a debug record name it.
"""

from __future__ import annotations

from pynenc.config import kinds
from pynenc.config.settings import Setting

_PUSHED = "nothing polls: waiters and runners are woken by the store"
_LEASED = "claims are held under a lease; a silent runner loses its work after `lease_seconds`"
_SHARED = "recovery, timers and retention are store operations of any runner: no slots to share out"
_WAITING = "a task that waits gives its slot back, and a cycle of waits is an error"
_OFFLOADED = "large values are kept by content above `client_data_threshold`"
_EVENTS = "triggers are not part of this release"
_STEADY = "worker processes are kept and replaced as they die"


def _number(default: float, instead: str) -> Setting[float]:
    return Setting[float](kinds.number(0), default, "Without effect.", retired=instead)


def _whole(default: int, instead: str) -> Setting[int]:
    return Setting[int](kinds.whole(), default, "Without effect.", retired=instead)


def _flag(default: bool, instead: str) -> Setting[bool]:
    return Setting[bool](kinds.FLAG, default, "Without effect.", retired=instead)


def _text(default: str, instead: str) -> Setting[str]:
    return Setting[str](kinds.TEXT, default, "Without effect.", retired=instead)


class RetiredSettings:
    """Published settings without effect, by what stands in their place."""

    __slots__ = ()

    runner_loop_sleep_time_sec = _number(0.1, _PUSHED)
    invocation_wait_results_sleep_time_sec = _number(0.1, _PUSHED)
    cached_status_time = _number(0.1, _PUSHED)
    queue_timeout_sec = _number(0.1, _PUSHED)

    max_pending_seconds = _number(5.0, _LEASED)
    runner_considered_dead_after_minutes = _number(10.0, _LEASED)
    runner_heartbeat_timeout_minutes = _number(10.0, _LEASED)
    recover_pending_invocations_cron = _text("*/5 * * * *", _LEASED)
    recover_running_invocations_cron = _text("*/15 * * * *", _LEASED)
    recovery_service_check_interval_minutes = _number(0.5, _LEASED)
    run_invocation_recovery_service_every_minutes = _number(5.0, _LEASED)
    recovery_service_spread_margin_minutes = _number(1.0, _LEASED)

    atomic_service_interval_minutes = _number(5.0, _SHARED)
    atomic_service_spread_margin_minutes = _number(1.0, _SHARED)
    atomic_service_check_interval_minutes = _number(0.5, _SHARED)
    atomic_service_runner_considered_dead_after_minutes = _number(10.0, _SHARED)
    atomic_service_execution_retention_minutes = _number(60.0, _SHARED)
    atomic_service_execution_max_records = _whole(1000, _SHARED)
    atomic_service_max_start_slot_fraction = _number(0.5, _SHARED)
    atomic_service_membership_stabilization_minutes = _number(0.0, _SHARED)
    atomic_service_min_run_margin_seconds = _number(0.05, _SHARED)

    cycle_control = _flag(True, _WAITING)
    blocking_control = _flag(True, _WAITING)

    arg_cache_cls = Setting[str](kinds.CLASS_NAME, "DisabledArgCache", "Without effect.", retired=_OFFLOADED)
    max_size_to_cache = _whole(0, _OFFLOADED)
    local_cache_size = _whole(1024, _OFFLOADED)
    warn_threshold = _whole(10_485_760, _OFFLOADED)
    compression_enabled = _flag(False, _OFFLOADED)
    shared_memory_name_prefix = _text("pynenc", _OFFLOADED)
    shared_memory_size_mb = _whole(10, _OFFLOADED)
    shared_memory_cleanup_timeout_sec = _number(1.0, _OFFLOADED)

    scheduler_interval_seconds = _number(60, _EVENTS)
    enable_scheduler = _flag(True, _EVENTS)
    max_events_batch_size = _whole(100, _EVENTS)
    event_retention_days = _number(7, _EVENTS)
    event_auto_purge_enabled = _flag(True, _EVENTS)
    event_max_records = _whole(0, _EVENTS)
    trigger_run_max_records = _whole(0, _EVENTS)

    truncate_log_ids = _flag(True, "`compact_log_context` shortens ids")
