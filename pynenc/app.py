"""The app: where tasks, configuration and the parts of the engine come together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from pynenc.context import current_transaction
from pynenc.core.keeping_values import KeepingValues
from pynenc.core.limiting import Limiting
from pynenc.core.pausing import Pausing
from pynenc.errors import NotYetAvailable, TaskNotFound
from pynenc.task import DirectTask, Task, TaskDecorator

if TYPE_CHECKING:
    import logging

    from pynenc.call import Call, Link
    from pynenc.config.app_config import AppConfig
    from pynenc.core.client import Client
    from pynenc.core.dead_letters import DeadLetters
    from pynenc.core.execution import TaskExecution
    from pynenc.core.loading import AppReference
    from pynenc.core.payloads import Payloads
    from pynenc.core.run_times import RunTimes
    from pynenc.core.running import RunningApp
    from pynenc.core.submitting import Submitter
    from pynenc.core.views import OrchestratorView, StateView
    from pynenc.invocation import BaseInvocation, BaseInvocationGroup, DistributedInvocation
    from pynenc.middleware import Middleware
    from pynenc.middleware.registry import Hooks
    from pynenc.ports.backend import Backend
    from pynenc.ports.client_data_store import ClientDataStore
    from pynenc.ports.orchestrator import Orchestrator
    from pynenc.ports.scheduler import Scheduler
    from pynenc.ports.serializer import Serializer
    from pynenc.runners.runner import Runner
    from pynenc.scheduling.naming import SchedulerChoice
    from pynenc.serializers.types import KnownTypes

P = ParamSpec("P")
R = TypeVar("R")


class Pynenc(Limiting, Pausing, KeepingValues):
    """An application: its tasks, its configuration, and the store they live in.

    `Pynenc()` needs nothing: an SQLite file `.pynenc/<app_id>.db` in the working folder, usable from any process
    there. A URL as the first argument names another store.
    """

    def __init__(
        self,
        url_or_config_values: str | Mapping[str, Any] | None = None,
        config_filepath: str | None = None,
        *,
        app_id: str | None = None,
        config_values: Mapping[str, Any] | None = None,
        scheduler: SchedulerChoice | None = None,
        serializer: str | Serializer | None = None,
        runner: str | type[Runner] | None = None,
        middleware: Iterable[str | type[Middleware] | Middleware] = (),
        broker: str | None = None,
        state_backend: str | None = None,
        client_data_store: str | ClientDataStore | None = None,
        trigger_store: str | None = None,
    ) -> None:
        """
        Args:
            url_or_config_values: URL of the store, or a dictionary of configuration values.
            config_filepath: a YAML, TOML or JSON file with configuration.
            app_id: name of the app; apps of different names share nothing.
            config_values: configuration values, weaker than the environment.
            scheduler: the order in which work is begun: a name, `module:Class`, a class, an instance, a function from
                `RankContext` to `Rank`, or a mapping with one of them for each queue.
            client_data_store: where large arguments and results are kept: a URL, `file:///folder` or
                `s3://bucket/prefix`, or a `ClientDataStore`; None: in the store of the invocations.
            middleware: called behind those that the setting `middleware` names: instances, classes, or names.
        """
        # As a library Pynenc is silent until somebody configures logging.
        import pynenc.logs  # noqa: F401
        from pynenc.config.app_config import AppConfig, is_writable
        from pynenc.core.loading import defining_module

        for name, value in (
            ("broker", broker),
            ("state_backend", state_backend),
            ("trigger_store", trigger_store),
        ):
            if value is not None:
                raise NotYetAvailable(f"{name}={value!r}: a store of its own", "one URL names the store of all parts")
        values = dict(config_values or {})
        if isinstance(url_or_config_values, str):
            values["url"] = url_or_config_values
        elif url_or_config_values is not None:
            values = {**url_or_config_values, **values}
        for name, choice in (
            ("app_id", app_id),
            ("scheduler", scheduler),
            ("serializer", serializer),
            ("runner", runner),
            ("client_data_store", client_data_store),
        ):
            if isinstance(choice, type) and name == "runner":
                values["runner_cls"] = choice.__name__
            if is_writable(choice):
                values[{"runner": "runner_cls", "serializer": "serializer_cls"}.get(name, name)] = choice
        self._module, self._file = defining_module()
        self.conf: AppConfig = AppConfig.load(values, config_filepath=config_filepath)
        self._scheduler_choice = None if is_writable(scheduler) else scheduler
        self._serializer_choice = serializer
        self._middleware_choice = middleware
        self._data_choice = None if isinstance(client_data_store, str) else client_data_store
        self._runner_class = runner if isinstance(runner, type) else None
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._control: Orchestrator | None = None
        self._runner: Runner | None = None
        self.tasks: dict[str, Task[..., Any]] = {}

    @property
    def app_id(self) -> str:
        return self.conf.app_id

    # --- tasks ---

    @overload
    def task(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, func: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, **options: Any) -> TaskDecorator: ...
    def task(self, *func: Any, **options: Any) -> Any:
        """Make a function a task: `@app.task` or `@app.task(max_retries=3)`.

        Raises:
            InvalidTaskOptionsError: an option is unknown or ill-typed; names it.
            NotYetAvailable: an option belongs to a feature this release does not have.
        """
        decorator = TaskDecorator(self, options)
        return decorator(*func) if func else decorator

    @overload
    def direct_task(self, func: Callable[P, R], /) -> DirectTask[P, R]: ...
    @overload
    def direct_task(
        self,
        *,
        parallel_func: Callable[..., Any] | None = None,
        aggregate_func: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Callable[[Callable[P, R]], DirectTask[P, R]]: ...
    def direct_task(
        self,
        *func: Any,
        parallel_func: Callable[..., Any] | None = None,
        aggregate_func: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Any:
        """Make a function a task whose call waits and returns the value; awaitable around an `async def`.

        Args:
            parallel_func: gets the arguments of a call as a dictionary and returns those of several calls.
            aggregate_func: gets the list of their results and returns the value of the call.
        """

        def decorate(function: Callable[..., Any]) -> DirectTask[..., Any]:
            return DirectTask(self._register(function, options), parallel_func, aggregate_func)

        return decorate(*func) if func else decorate

    def workflow(self, *_: Any, **__: Any) -> Any:
        raise NotYetAvailable("@app.workflow (workflows)")

    def _register(self, func: Callable[..., Any], options: Mapping[str, Any]) -> Task[..., Any]:
        from pynenc.config.task_options import TaskOptions

        task: Task[..., Any] = Task(self, func, options)
        task.check(TaskOptions.check(task.task_id, options))
        self.types.learn_module(func.__module__)
        self.types.learn_annotations(func)
        self.tasks[task.task_id] = task
        return task

    def get_task(self, task_id: str) -> Task[..., Any]:
        """Return a task by its id, importing its module if need be.

        Raises:
            TaskNotFound: this process has no such task.
        """
        task = self.tasks.get(task_id)
        if task is None:
            from pynenc.core.loading import import_home_of

            import_home_of(task_id)
            task = self.tasks.get(task_id)
        if task is None:
            raise TaskNotFound(f"app {self.app_id!r} has no task {task_id!r} in this process")
        return task

    def register_types(self, *classes: type) -> None:
        """Let stored values construct these classes."""
        self.types.register(*classes)

    # --- invocations ---

    def get_invocation(self, invocation_id: str) -> DistributedInvocation[..., Any]:
        """Return the handle of an invocation.

        Raises:
            InvocationNotFound: nobody knows the id.
            TaskNotFound: this process does not have its task.
        """
        from pynenc.invocation.distributed import find_invocation

        return find_invocation(self, invocation_id)

    def submit_many(self, calls: Iterable[Call[..., Any]]) -> BaseInvocationGroup[..., Any]:
        """Submit calls of any tasks in one atomic unit: `app.submit_many([add.call(1, 2), mul.call(3, 4)])`."""
        from pynenc.core.parallel import submit_calls

        return submit_calls(self, list(calls))

    def submit_stream(
        self, calls: Iterable[Call[..., Any]], *, batch_size: int = 500
    ) -> Iterator[BaseInvocation[..., Any]]:
        """Submit calls of any tasks as they come, and yield their invocations in order; `batch_size` per atomic unit.

        Nothing is kept of what went by, so a million calls need no more memory than a batch.
        """
        from pynenc.core.chaining import submit_stream

        return submit_stream(self, calls, batch_size)

    def chain(self, first: Call[..., Any], *links: Task[..., Any] | Link) -> BaseInvocation[..., Any]:
        """Submit calls, in one atomic unit, of which each begins with the result of the one before; return the last.

        app.chain(fetch.call(url), parse, store.link(table="pages"))
        """
        from pynenc.core.chaining import chain

        return chain(first, links)

    def cancel(self, invocation: BaseInvocation[..., Any] | str, *, tree: bool = False, reason: str = "") -> bool:
        """Cancel an invocation; see `invocation.cancel`."""
        handle = self.get_invocation(invocation) if isinstance(invocation, str) else invocation
        return handle.cancel(tree=tree, reason=reason)

    @property
    def dead_letters(self) -> DeadLetters:
        """What failed for good: `app.dead_letters(queue="mail").requeue()`."""
        from pynenc.core.dead_letters import DeadLetters

        return DeadLetters(self)

    # --- middleware ---

    def add_middleware(self, *middleware: str | type[Middleware] | Middleware) -> None:
        """Call these hooks from now on, inside those that were there; a runner must not have started yet.

        Raises:
            ConfigurationError: nothing has such a name, or it is no middleware.
        """
        from pynenc.middleware.naming import register

        register(self, self.hooks, middleware)

    @cached_property
    def hooks(self) -> Hooks:
        """The middleware, by the hooks it has."""
        from pynenc.middleware.naming import hooks_of

        return hooks_of(self, self.conf.middleware, self._middleware_choice)

    # --- running ---

    @property
    def runs_inline(self) -> bool:
        """Whether calls run where they are made (`dev_mode_force_sync_tasks`)."""
        return bool(self.conf.dev_mode_force_sync_tasks)

    @property
    def runner(self) -> Runner:
        """The runner of this process; `run()` blocks, `stop_runner_loop()` ends it."""
        from pynenc.runners.runner import runner_class

        wanted = self._runner_class or runner_class(self.conf.runner_cls)
        with self._lock:
            if self._runner is None or (type(self._runner) is not wanted and not self._runner.is_running):
                self._take_runner(wanted(self))
            assert self._runner is not None
            return self._runner

    @runner.setter
    def runner(self, runner: Runner) -> None:
        self._take_runner(runner)
        self._runner_class = type(runner)

    def _take_runner(self, runner: Runner) -> None:
        """Put another runner in place; endpoints that were added to the one before are served by this one."""
        if self._runner is not None:
            runner.pages.update(self._runner.pages)
        self._runner = runner

    def running(self, *, drain_timeout: float = 30.0) -> RunningApp:
        """Return a context manager, blocking or asynchronous, that runs a runner beside the caller and drains it."""
        from pynenc.core.running import RunningApp

        return RunningApp(self, drain_timeout)

    def reference(self) -> AppReference:
        """Return how another process gets this app.

        Raises:
            RunnerError: it is defined where no other process can import it.
        """
        from pynenc.core.loading import reference_to

        overrides = {**self.conf.assigned(), "url": self.conf.url}
        return reference_to(self, self._module, self._file, overrides)

    @contextmanager
    def transaction(self, connection: object) -> Iterator[None]:
        """Submit what is called in this block inside a transaction of your own: it exists if and only if that commits.

            with engine.begin() as connection, app.transaction(connection):
                connection.execute(insert_order)
                send_invoice(order_id)

        The transaction is neither committed nor rolled back here. Results can be waited for after its commit only.

        Args:
            connection: to the database that the store is in: of psycopg or sqlite3, a SQLAlchemy session or
                connection (asynchronous ones with psycopg), or a Django connection.

        Raises:
            ConfigurationError: the store has no transactions, or the connection is of another kind or database.
        """
        transaction = self.backend.transaction(connection)
        token = current_transaction.set((self, transaction))
        try:
            yield
        finally:
            current_transaction.reset(token)
            transaction.left()

    # --- parts ---

    @property
    def backend(self) -> Backend:
        """The store; opened when first needed."""
        if self._backend is None:
            from pynenc.composition import open_backend

            with self._lock:
                if self._backend is None:
                    self._backend = open_backend(self.conf.url, app_id=self.app_id)
        return self._backend

    def use_backend(self, backend: Backend) -> None:
        """Put another store in place, before first use (tests, embedding)."""
        self.release_backend()
        self._backend = backend

    def release_backend(self) -> None:
        """Go back to the store that the configuration names."""
        self.close()
        self._backend = None
        self._control = None

    @property
    def control(self) -> Orchestrator:
        """The port every transition goes through: the store's, or in a worker process the line to its runner."""
        return self._control or self.backend.orchestrator

    def use_orchestrator(self, orchestrator: Orchestrator) -> None:
        """Send every transition through another port (a worker process: through its runner)."""
        self._control = orchestrator
        self.__dict__.pop("submitter", None)

    @cached_property
    def submitter(self) -> Submitter:
        from pynenc.core.submitting import Submitter

        run_times = self.run_times if self.scheduler.wants_run_times else None
        return Submitter(self.control, self.scheduler, run_times, self.hooks)

    @cached_property
    def run_times(self) -> RunTimes:
        """How long runs of tasks usually take, as far as this process knows."""
        from pynenc.core.run_times import RunTimes

        return RunTimes(self.backend.state_backend)

    @cached_property
    def scheduler(self) -> Scheduler:
        from pynenc.scheduling.naming import scheduler_of

        return scheduler_of(self._scheduler_choice or self.conf.scheduler)

    @cached_property
    def client(self) -> Client:
        from pynenc.core.client import client_of

        return client_of(self.backend.orchestrator)

    @cached_property
    def execution(self) -> TaskExecution:
        from pynenc.core.execution import TaskExecution

        return TaskExecution(self)

    @cached_property
    def types(self) -> KnownTypes:
        """Classes that stored bytes may construct."""
        from pynenc.core.payloads import known_types

        return known_types()

    @cached_property
    def serializer(self) -> Serializer:
        from pynenc.serializers.registry import serializer_by_name

        choice = self._serializer_choice
        if choice is not None and not isinstance(choice, str):
            return choice
        return serializer_by_name(self.conf.serializer_cls, self.conf.serializer_keys)

    @cached_property
    def payloads(self) -> Payloads:
        return self.payloads_for(None, None)

    def payloads_for(self, serializer: str | Serializer | None, threshold: int | None) -> Payloads:
        """Return how values are kept with these options of a task; None means the app's."""
        from pynenc.core.payloads import compose_payloads

        return compose_payloads(self, serializer, threshold)

    @property
    def retention_us(self) -> int | None:
        """How long outcomes are kept; None: for ever."""
        days = self.conf.retention_days
        return None if days is None else int(days * 86_400_000_000)

    @cached_property
    def logger(self) -> logging.Logger:
        import logging

        return logging.getLogger(f"pynenc.app.{self.app_id}")

    # --- published read access ---

    @property
    def orchestrator(self) -> OrchestratorView:
        from pynenc.core.views import OrchestratorView

        return OrchestratorView(self)

    @property
    def state_backend(self) -> StateView:
        from pynenc.core.views import StateView

        return StateView(self)

    @property
    def broker(self) -> OrchestratorView:
        """Published name: the ready index is part of the orchestrator's store."""
        return self.orchestrator

    @property
    def trigger(self) -> Any:
        raise NotYetAvailable("app.trigger (triggers)")

    def close(self) -> None:
        """End the client session and close the store; the next use opens them anew."""
        if "client" in self.__dict__:
            self.__dict__.pop("client").close()
        for part in ("submitter", "run_times", "payloads"):
            self.__dict__.pop(part, None)
        if close := getattr(self.__dict__.pop("data_store_apart", None), "close", None):
            close()
        if self._backend is not None:
            self._backend.close()

    async def aclose(self) -> None:
        """`close` on an event loop: what is open there is closed without blocking it."""
        if "client" in self.__dict__:
            await self.client.aclose()
        self.close()

    def __repr__(self) -> str:
        return f"Pynenc(app_id={self.app_id!r})"
