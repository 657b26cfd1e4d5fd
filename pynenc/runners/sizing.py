"""How much at once: what the settings of an app mean for each kind of runner."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from pynenc.errors import ConfigurationError
from pynenc.runners.queue_turns import QueueOrder
from pynenc.runners.scaling import Scaling
from pynenc.runners.wait_bound import ParkLimits
from pynenc.runners.worker_config import WorkerConfig, WorkerMode

if TYPE_CHECKING:
    from pynenc.config.app_config import AppConfig

logger = logging.getLogger(__name__)

DEFAULT_COROUTINES = 100
_DEFAULT_THREADS = 8
_PARKED_PER_SLOT, _LEAST_PARKED = 8, 64
"""A thread that waits keeps some tens of KiB, a coroutine less than half of that."""
_PARKED_COROUTINES = 10_000


class Processes(Struct, frozen=True):
    """How many worker processes, and what each is."""

    least: int
    most: int
    worker: WorkerConfig
    shrink_after_s: float

    def scaling(self) -> Scaling:
        """Return who decides how many there are at a time."""
        return Scaling(self.least, self.most, shrink_after_s=self.shrink_after_s)

    def park_limits(self, conf: AppConfig) -> ParkLimits:
        """Return how many bodies of all the workers together may wait for others."""
        if self.worker.mode is WorkerMode.ASYNCIO:
            return parked_coroutines(conf)
        return parked_threads(conf, self.most * self.worker.slots)


def threads(conf: AppConfig) -> int:
    """Return how many bodies a thread runner runs at a time."""
    most = conf.max_threads or min(32, (os.cpu_count() or 1) + 4)
    return max(conf.min_threads, most, conf.min_parallel_slots if not conf.max_threads else 1)


def coroutines(conf: AppConfig) -> int:
    """Return how many coroutines an asyncio runner runs at a time."""
    return conf.concurrency or DEFAULT_COROUTINES


def parked_threads(conf: AppConfig, slots: int) -> ParkLimits:
    """Return how many bodies may wait for others where each of them keeps a thread."""
    most = conf.max_parked or max(_LEAST_PARKED, _PARKED_PER_SLOT * slots)
    return ParkLimits(bodies=most, stacks=most)


def parked_coroutines(conf: AppConfig) -> ParkLimits:
    """Return how many bodies may wait for others where most of them are coroutines."""
    most = conf.max_parked or _PARKED_COROUTINES
    return ParkLimits(bodies=most, stacks=min(most, _LEAST_PARKED))


def single(conf: AppConfig) -> Processes:
    """Return the workers of a process runner: each runs one body at a time."""
    return _processes(conf, WorkerConfig(), scales=conf.origin("min_processes") != "default")


def hybrid(conf: AppConfig) -> Processes:
    """Return the workers of a hybrid runner: each runs several bodies at a time."""
    mode = WorkerMode(conf.worker_mode)
    default = DEFAULT_COROUTINES if mode is WorkerMode.ASYNCIO else conf.max_threads or _DEFAULT_THREADS
    worker = WorkerConfig(mode=mode, slots=conf.concurrency or default)
    return _processes(conf, worker, scales=conf.origin("min_processes") != "default")


def multi_thread(conf: AppConfig) -> Processes:
    """Return the workers of a multi-thread runner: processes with threads, as many as are needed."""
    worker = WorkerConfig(mode=WorkerMode.THREADS, slots=max(conf.min_threads, conf.max_threads, 1))
    return _processes(conf, worker, scales=not conf.enforce_max_processes)


def queue_limits(conf: AppConfig) -> dict[str, int]:
    """Return how many bodies of a queue a runner has at a time.

    Raises:
        ConfigurationError: it does not serve a queue that has a limit.
    """
    limits = conf.queue_limits
    unserved = sorted(set(limits) - set(conf.queues))
    if unserved:
        raise ConfigurationError(
            f"queue_limits names {', '.join(unserved)}, which queues={list(conf.queues)} does not: a runner with "
            "limits has to name all queues that it serves"
        )
    return limits


def queue_order(conf: AppConfig) -> QueueOrder:
    """Return how a runner chooses among its queues."""
    order = QueueOrder(conf.queue_selection_strategy)
    if order is not QueueOrder.BY_RANK and not conf.queues:
        logger.warning(
            "queue_selection_strategy=%s has no effect without `queues`: a runner of all queues takes what ranks "
            "first; name them with queues or --queues",
            order.value,
        )
    return order if len(conf.queues) > 1 else QueueOrder.BY_RANK


def _processes(conf: AppConfig, worker: WorkerConfig, *, scales: bool) -> Processes:
    if conf.num_processes:
        most = conf.num_processes
        return Processes(most, most, worker, conf.idle_timeout_process_sec)
    enough = -(-conf.min_parallel_slots // worker.slots)
    most = conf.max_processes or max(os.cpu_count() or 1, enough, conf.min_processes)
    least = max(conf.min_processes, min(enough, most)) if scales else most
    if least > most:
        raise ConfigurationError(
            f"min_processes={conf.min_processes} is more than max_processes={conf.max_processes}: lower the one or "
            "raise the other"
        )
    return Processes(least, most, worker, conf.idle_timeout_process_sec)
