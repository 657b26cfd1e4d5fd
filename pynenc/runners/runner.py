"""Runners: a control loop and an executor, started and stopped as one."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Protocol

from pynenc.errors import ConfigurationError, NotYetAvailable, RunnerError
from pynenc.io import run as perform
from pynenc.model.records import SessionInfo, SessionKind
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.executor import Executor
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners import sizing
from pynenc.runners.collector import DataCollector
from pynenc.runners.control_loop import ControlLoop
from pynenc.runners.loop_config import LoopConfig
from pynenc.runners.pulse import NOT_RUNNING, Health
from pynenc.runners.signals import StopSignals
from pynenc.runners.telling import telling
from pynenc.runners.told_store import told
from pynenc.runners.wait_bound import ParkLimits
from pynenc.runners.warming import import_what_bodies_use
from pynenc.runners.worker_limits import WorkerLimits

if TYPE_CHECKING:
    import signal

    from pynenc.config.app_config import AppConfig
    from pynenc.core.loading import AppReference
    from pynenc.middleware.registry import Hooks
    from pynenc.ports.scheduler import Scheduler
    from pynenc.runners.health_server import Render

logger = logging.getLogger(__name__)

_KILL_JOIN_S = 10.0
_OPENING_S = 5.0


class RunnerHost(Protocol):
    """What a runner needs of an app."""

    conf: AppConfig

    @property
    def control(self) -> Orchestrator: ...

    @property
    def execution(self) -> AttemptExecution: ...

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def hooks(self) -> Hooks: ...

    @property
    def data_store_apart(self) -> ClientDataStore | None: ...

    def reference(self) -> AppReference:
        """Return how worker processes get the app."""

    def collect_client_data(self) -> int:
        """Remove large values that nothing names."""


class Runner:
    """Executes invocations of an app until it is stopped; can run again after that."""

    def __init__(self, app: RunnerHost) -> None:
        self.app = app
        self._lock = threading.Lock()
        self._loop: ControlLoop | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._executor: Executor | None = None
        self._collector: DataCollector | None = None
        self.pages: dict[str, Render] = {}
        """Further endpoints beside `/livez` and `/readyz`, by path; see `pynenc.runners.health_server`."""
        self.killed_by: signal.Signals | None = None
        """The second signal, if one ended the last `run`."""

    # --- for subclasses ---

    def make_executor(self, name: str) -> Executor:
        """Return a fresh executor."""
        raise NotImplementedError

    def park_limits(self) -> ParkLimits:
        """Return how many bodies may wait for others."""
        return sizing.parked_threads(self.app.conf, sizing.threads(self.app.conf))

    # --- running ---

    @property
    def is_running(self) -> bool:
        return self._loop is not None

    def run(self, *, drain_timeout: float = 30.0) -> None:
        """Run until stopped. In the main thread SIGTERM and SIGINT drain, and a second one kills.

        While it runs it tells how it is as `health_port`, `alive_file` and systemd ask for.

        Args:
            drain_timeout: seconds that bodies have to end when it drains.

        Raises:
            ConfigurationError: the port or file for its health cannot be used.
            RunnerError: it runs already.
            StoreError: the store refuses for a reason that waiting does not mend.
        """
        loop = self._prepare()
        signals = StopSignals(lambda: loop.drain(drain_timeout), loop.kill, grace_s=drain_timeout)
        in_main_thread = threading.current_thread() is threading.main_thread()
        try:
            with signals if in_main_thread else nullcontext(), telling(self.app.conf, self.health, self.pages):
                perform(loop.main())
        finally:
            self.killed_by = signals.killed_by
            self._release()

    def health(self) -> Health:
        """Return how it is; for probes of the program that it runs in. From any thread."""
        loop, executor = self._loop, self._executor
        if loop is None or executor is None:
            return NOT_RUNNING
        return loop.pulse.health(within_s=self.app.conf.health_within_seconds, workers_up=executor.is_up())

    def start(self) -> None:
        """Run in a thread of its own; return when its session is open, or soon if the store does not answer.

        Raises:
            RunnerError: it runs already.
            StoreError: the store refuses for a reason that waiting does not mend.
        """
        loop = self._prepare()
        self._failure = None
        self._thread = threading.Thread(target=self._run_in_thread, args=(loop,), name="pynenc-runner", daemon=True)
        self._thread.start()
        loop.opened.wait(_OPENING_S)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run_in_thread(self, loop: ControlLoop) -> None:
        try:
            perform(loop.main())
        except BaseException as error:
            logger.exception("the runner ended with an error")
            self._failure = error
        finally:
            self._release()
            loop.opened.set()

    def drain(self, timeout: float = 30.0) -> None:
        """Stop claiming, give bodies `timeout` seconds to end, hand back the rest; return when all is done.

        Raises:
            Exception: what ended the runner before.
        """
        thread, loop = self._thread, self._loop
        if loop is not None:
            loop.drain(timeout)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout + _KILL_JOIN_S)
            if thread.is_alive() and loop is not None:
                loop.kill()
                thread.join(_KILL_JOIN_S)
        self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def stop_runner_loop(self) -> None:
        """Ask the runner to stop, from any thread; `run` returns once it has drained."""
        loop = self._loop
        if loop is not None:
            loop.drain(30.0)

    def _prepare(self) -> ControlLoop:
        with self._lock:
            if self._loop is not None:
                raise RunnerError(f"{type(self).__name__} runs already; one object runs once at a time")
            # Says first what is wrong with its URL.
            apart = self.app.data_store_apart
            self._loop = loop = self._make_loop()
            if apart is not None:
                self._collector = DataCollector(self.app.collect_client_data)
                self._collector.start()
        return loop

    def _make_loop(self) -> ControlLoop:
        conf = self.app.conf
        host = socket.gethostname()
        name = f"{type(self).__name__}@{host}:{os.getpid()}"
        limits = self.park_limits()
        config = LoopConfig(
            lease_s=conf.lease_seconds,
            queues=conf.queues,
            queue_limits=sizing.queue_limits(conf),
            queue_order=sizing.queue_order(conf),
            inherits=self.app.scheduler.inherits,
            prefetch=conf.prefetch,
            park_limits=limits,
        )
        self._store = told(self.app.control, self.app.hooks, conf.app_id)
        with ExitStack() as if_it_fails:
            self._executor = executor = self.make_executor(name)
            if_it_fails.callback(executor.close, 0.0)
            self._bell = self.app.control.doorbell()
            if_it_fails.pop_all()
        info = SessionInfo(
            kind=SessionKind.RUNNER,
            name=name,
            host=host,
            pid=os.getpid(),
            queues=conf.queues,
            slots=executor.slots,
            most_slots=executor.most_slots,
            doorbell=self._bell.address,
            max_parked=limits.bodies,
        )
        logger.info("%s starts: %d slots, queues: %s", name, executor.most_slots, ", ".join(conf.queues) or "all")
        return ControlLoop(self._store, executor, self._bell, config, time.monotonic, info)

    def _release(self) -> None:
        with self._lock:
            self._loop = self._executor = None
            collector, self._collector = self._collector, None
        if collector is not None:
            collector.stop()
        self._bell.close()
        self.app.hooks.flush()


class ThreadRunner(Runner):
    """Runs bodies in threads of this process."""

    def make_executor(self, name: str) -> Executor:
        from pynenc.runners.thread_executor import ThreadExecutor

        import_what_bodies_use()
        conf = self.app.conf
        return ThreadExecutor(self.app.execution, slots=sizing.threads(conf), runner_name=name, kept=conf.min_threads)


class ProcessRunner(Runner):
    """Runs bodies in persistent worker processes, one at a time in each."""

    def make_executor(self, name: str) -> Executor:
        from pynenc.runners.process_executor import ProcessExecutor

        processes = self.processes()
        return ProcessExecutor(
            self.app.execution,
            self._store,
            self.app.reference(),
            scaling=processes.scaling(),
            config=processes.worker,
            runner_name=name,
            spares=self.app.conf.spare_workers,
            limits=self._limits(),
        )

    def _limits(self) -> WorkerLimits:
        conf = self.app.conf
        return WorkerLimits(
            max_tasks=conf.worker_max_tasks,
            max_age_s=conf.worker_max_age,
            memory_bytes=conf.worker_memory_limit,
            hard_memory_bytes=conf.worker_hard_memory_limit,
        )

    def processes(self) -> sizing.Processes:
        """Return how many workers it has, and what each is.

        Raises:
            ConfigurationError: the settings contradict each other.
        """
        return sizing.single(self.app.conf)

    def park_limits(self) -> ParkLimits:
        return self.processes().park_limits(self.app.conf)


class PersistentProcessRunner(ProcessRunner):
    """Published name of the process runner: its workers live as long as it does."""


class HybridRunner(ProcessRunner):
    """Runs several bodies at a time in each of its worker processes: in threads, or on an event loop."""

    def processes(self) -> sizing.Processes:
        return sizing.hybrid(self.app.conf)


class MultiThreadRunner(ProcessRunner):
    """Published name of worker processes that each run bodies in threads, as many processes as are needed."""

    def processes(self) -> sizing.Processes:
        return sizing.multi_thread(self.app.conf)


class AsyncRunner(Runner):
    """Runs coroutines on one event loop, and other bodies in a few threads beside it."""

    def make_executor(self, name: str) -> Executor:
        from pynenc.runners.asyncio_executor import AsyncioExecutor

        import_what_bodies_use()
        return AsyncioExecutor(self.app.execution, slots=sizing.coroutines(self.app.conf), runner_name=name)

    def park_limits(self) -> ParkLimits:
        return sizing.parked_coroutines(self.app.conf)


class DummyRunner(Runner):
    """Published name for an app that only submits: it runs nothing."""

    def make_executor(self, name: str) -> Executor:
        raise RunnerError(
            "DummyRunner runs nothing: choose another with app.conf.runner_cls, or start one with `pynenc runner start`"
        )


_RUNNERS: dict[str, type[Runner]] = {
    each.__name__.lower(): each
    for each in (
        ThreadRunner,
        MultiThreadRunner,
        ProcessRunner,
        PersistentProcessRunner,
        AsyncRunner,
        HybridRunner,
        DummyRunner,
    )
}
_COMING = ("externalrunner", "rayrunner", "daskrunner", "kubernetesrunner")


def runner_class(name: str) -> type[Runner]:
    """Return the class of a runner by its name, with or without a module in front.

    Raises:
        ConfigurationError: no runner has this name.
        NotYetAvailable: the runner is known, but not part of this release.
    """
    key = name.rpartition(".")[2].lower()
    if key in _COMING:
        raise NotYetAvailable(f"the runner {name}")
    found = _RUNNERS.get(key)
    if found is None:
        known = ", ".join(each.__name__ for each in _RUNNERS.values())
        raise ConfigurationError(f"runner_cls={name!r} is no runner; there are {known}")
    return found
