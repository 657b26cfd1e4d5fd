"""`PynencBuilder`: an app from a chain of calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

from pynenc.config.sources import SETTINGS, option_value, setting_entry
from pynenc.config.sources import Rank as _Rank
from pynenc.errors import ConfigError, NotYetAvailable

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.conf.config_pynenc import ArgumentPrintMode
    from pynenc.conf.config_task import ConcurrencyControlType

PLUGIN_GROUP = "pynenc.plugins"
"""Entry points of classes with a method `register_builder_methods(builder_class)`."""

_COMPONENTS = ("Orchestrator", "Broker", "StateBackend", "ClientDataStore", "Trigger")
_FIELDS = ("orchestrator_cls", "broker_cls", "state_backend_cls", "client_data_store_cls", "trigger_cls")
_ONE_PROCESS_RUNNERS = ("ThreadRunner", "AsyncRunner", "DummyRunner")

PluginMethod = Callable[..., Any]
PluginValidator = Callable[[dict[str, Any]], None]


class PynencBuilder:
    """Collects settings by calls that can be chained; `build()` makes the app.

    Each call checks what it gets. Environment variables are stronger than a builder.

    Raises, from every method:
        ConfigError: a value is ill-typed.
        NotYetAvailable: it asks for what this release does not have.
    """

    _plugin_methods: ClassVar[dict[str, PluginMethod]] = {}
    _plugin_validators: ClassVar[list[PluginValidator]] = []
    _plugins_loaded: ClassVar[bool] = False

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        # Plug-ins of the published package write these two.
        self._plugin_components: set[str] = set()
        self._using_memory_components = False

    # --- the app and its store ---

    def app_id(self, app_id: str) -> Self:
        """Name the app; apps of different names share nothing."""
        return self._set(app_id=app_id)

    def memory(self) -> Self:
        """Keep everything in this process: for tests, with a thread or asyncio runner."""
        self._store("Mem")
        self._using_memory_components = True
        return self

    def sqlite(self, sqlite_db_path: str | os.PathLike[str] | None = None) -> Self:
        """Keep everything in an SQLite file, by default `.pynenc/<app_id>.db`."""
        self._store("SQLite")
        return self._set(sqlite_db_path=sqlite_db_path) if sqlite_db_path else self

    def redis(self, url: str | None = None, db: int | None = None) -> Self:
        """Keep everything on a Redis server, by default on this machine; `db` without a URL is its database."""
        self._store("Redis")
        if url is not None:
            self._set(redis_url=url if db is None else _with_database(url, db))
        return self if url is not None or db is None else self._set(redis_db=db)

    def mongo(self, url: str | None = None, db: str | None = None) -> Self:
        raise _not_yet("mongo", "mongodb")

    def postgres(self, url: str | None = None) -> Self:
        """Keep everything on a PostgreSQL server, by default where PGHOST and its like say."""
        self._store("PostgreSQL")
        return self if url is None else self._set(postgres_url=url)

    def mysql(self, url: str | None = None) -> Self:
        raise _not_yet("mysql", "mysql")

    def rabbitmq_broker(self, url: str | None = None) -> Self:
        raise _not_yet("rabbitmq_broker", "rabbitmq")

    def nats_broker(self, url: str | None = None) -> Self:
        raise _not_yet("nats_broker", "nats")

    def mem_client_data_store(self, min_size_to_cache: int = 1024, local_cache_size: int = 1024) -> Self:
        """Keep values of more than `min_size_to_cache` bytes apart from their invocations, in the app's store."""
        self._config.pop("disable_client_data_store", None)
        return self._set(
            client_data_store_cls="MemClientDataStore",
            min_size_to_cache=min_size_to_cache,
            local_cache_size=local_cache_size,
        )

    def client_data_store(self, url: str) -> Self:
        """Keep big values in a folder (`file:///folder`) or a bucket (`s3://bucket/prefix`)."""
        return self._set(client_data_store=url)

    def disable_client_data_store(self) -> Self:
        """Keep values of every size with their invocations."""
        return self._set(disable_client_data_store=True)

    def mem_trigger(self, scheduler_interval_seconds: float = 60, enable_scheduler: bool = True) -> Self:
        """Accepted; triggers are refused by name where a task asks for them."""
        return self._set(
            trigger_cls="MemTrigger",
            scheduler_interval_seconds=scheduler_interval_seconds,
            enable_scheduler=enable_scheduler,
        )

    def trigger_task_modules(self, modules: Iterable[str]) -> Self:
        """Name modules that a runner imports because their tasks are started by triggers."""
        return self._set(trigger_task_modules=tuple(modules))

    # --- the runner ---

    def thread_runner(self, min_threads: int = 1, max_threads: int = 0) -> Self:
        """Run bodies on threads of the runner's process; `max_threads=0` lets the runner choose."""
        return self._set(runner_cls="ThreadRunner", min_threads=min_threads, max_threads=max_threads)

    def multi_thread_runner(
        self, min_threads: int = 1, max_threads: int = 1, enforce_max_processes: bool = False
    ) -> Self:
        """Run bodies on threads of several worker processes, `max_threads` in each."""
        return self._set(
            runner_cls="MultiThreadRunner",
            min_threads=min_threads,
            max_threads=max_threads,
            enforce_max_processes=enforce_max_processes,
        )

    def process_runner(self) -> Self:
        """Run bodies in worker processes."""
        return self._set(runner_cls="ProcessRunner")

    def persistent_process_runner(self, num_processes: int = 0) -> Self:
        """Run bodies in `num_processes` worker processes; 0 for one per core."""
        return self._set(runner_cls="PersistentProcessRunner", num_processes=num_processes)

    def async_runner(self, concurrency: int = 0) -> Self:
        """Run `async` bodies on one event loop; `concurrency=0` lets the runner choose."""
        return self._set(runner_cls="AsyncRunner", concurrency=concurrency)

    def hybrid_runner(self, num_processes: int = 0, concurrency: int = 0, mode: str = "threads") -> Self:
        """Run `concurrency` bodies at a time in each worker process, in `threads` or on an event loop (`asyncio`).

        Args:
            num_processes: worker processes; 0 for one per core, or by load if `min_processes` is set.
            concurrency: bodies in each; 0 lets the runner choose.
            mode: "threads" or "asyncio".
        """
        return self._set(
            runner_cls="HybridRunner", num_processes=num_processes, concurrency=concurrency, worker_mode=mode
        )

    def dummy_runner(self) -> Self:
        """Have no runner in this process: it only submits and waits."""
        return self._set(runner_cls="DummyRunner")

    def runner_tuning(
        self,
        runner_loop_sleep_time_sec: float = 0.01,
        invocation_wait_results_sleep_time_sec: float = 0.01,
        min_parallel_slots: int = 1,
    ) -> Self:
        """Set the least number of bodies at once; the polling times are without effect: nothing polls."""
        return self._set(
            runner_loop_sleep_time_sec=runner_loop_sleep_time_sec,
            invocation_wait_results_sleep_time_sec=invocation_wait_results_sleep_time_sec,
            min_parallel_slots=min_parallel_slots,
        )

    def max_pending_seconds(self, seconds: float) -> Self:
        """Accepted without effect: claims are held under a lease."""
        return self._set(max_pending_seconds=seconds)

    # --- tasks ---

    def dev_mode(self, force_sync_tasks: bool = True) -> Self:
        """Run every call at once, where it is made."""
        return self._set(dev_mode_force_sync_tasks=force_sync_tasks)

    def task_control(self, blocking_control: bool = False, queue_timeout_sec: float = 0.1) -> Self:
        """Accepted without effect: a task that waits always gives its slot back."""
        return self._set(blocking_control=blocking_control, queue_timeout_sec=queue_timeout_sec)

    def concurrency_control(
        self,
        running_concurrency: str | ConcurrencyControlType | None = None,
        registration_concurrency: str | ConcurrencyControlType | None = None,
    ) -> Self:
        """Say which invocations exclude each other, for tasks that do not say so themselves."""
        choices = {
            "running_concurrency": running_concurrency,
            "registration_concurrency": registration_concurrency,
        }
        for name, choice in choices.items():
            if choice is not None:
                self._config[name] = option_value(name, choice, "PynencBuilder.concurrency_control()")
        return self

    def serializer_json(self) -> Self:
        """Keep values as JSON."""
        return self._set(serializer_cls="JsonSerializer")

    def serializer_json_pickle(self) -> Self:
        """Keep values under the published name `JsonPickleSerializer`."""
        return self._set(serializer_cls="JsonPickleSerializer")

    def serializer_pickle(self) -> Self:
        """Keep values as pickles: only where everybody who can write to the store is trusted."""
        return self._set(serializer_cls="PickleSerializer")

    # --- logging ---

    def logging(
        self,
        level: str | None = None,
        *,
        stream: str | None = None,
        colors: bool | None = None,
        fmt: str | None = None,
    ) -> Self:
        """Set several of `logging_level`, `logging_stream`, `logging_colors` and `logging_format` at once."""
        given = {"logging_level": level, "log_stream": stream, "log_use_colors": colors, "log_format": fmt}
        return self._set(**{name: value for name, value in given.items() if value is not None})

    def logging_level(self, level: str) -> Self:
        """Write records of `debug`, `info`, `warning`, `error` or `critical` upwards."""
        return self._set(logging_level=level)

    def logging_colors(self, use_colors: bool | None = None) -> Self:
        """Use colours always, never, or (None) where the stream is a terminal."""
        return self._set(log_use_colors=use_colors)

    def logging_stream(self, stream: str) -> Self:
        """Write to `stderr` or `stdout`."""
        return self._set(log_stream=stream)

    def logging_format(self, fmt: str) -> Self:
        """Write `text` for people or `json`."""
        return self._set(log_format=fmt)

    def argument_print_mode(self, mode: str | ArgumentPrintMode, truncate_length: int = 32) -> Self:
        """Say how much of the arguments logs show: `full`, `keys`, `truncated` or `hidden`."""
        return self._set(argument_print_mode=mode, truncate_arguments_length=truncate_length, print_arguments=True)

    def hide_arguments(self) -> Self:
        """Keep arguments out of logs."""
        return self._set(argument_print_mode="hidden", print_arguments=False)

    def show_argument_keys(self) -> Self:
        """Show names of arguments only."""
        return self._set(argument_print_mode="keys", print_arguments=True)

    def show_full_arguments(self) -> Self:
        """Show arguments whole."""
        return self._set(argument_print_mode="full", print_arguments=True)

    def show_truncated_arguments(self, truncate_length: int = 32) -> Self:
        """Show the beginning of each argument."""
        return self.argument_print_mode("truncated", truncate_length)

    # --- anything else, and the end ---

    def custom_config(self, **kwargs: Any) -> Self:
        """Set settings by name; checked by `build()`."""
        self._config.update(kwargs)
        return self

    def build(self) -> Pynenc:
        """Return the app.

        Raises:
            ConfigError: settings are unknown or do not go together.
            ValueError: a plug-in's validator objects.
        """
        from pynenc.app import Pynenc

        self._load_plugins()
        self._check_memory()
        for validator in self._plugin_validators:
            validator(self._config)
        return Pynenc(config_values=self._config)

    def _check_memory(self) -> None:
        runner = self._config.get("runner_cls")
        if self._using_memory_components and runner is not None and runner not in _ONE_PROCESS_RUNNERS:
            raise ConfigError(
                f"{runner} runs bodies in other processes, which cannot see the memory store; "
                f"use {', '.join(_ONE_PROCESS_RUNNERS[:2])}, or sqlite()"
            )

    def _set(self, **values: Any) -> Self:
        for name, value in values.items():
            setting_entry(SETTINGS[name], value, f"PynencBuilder ({name})", _Rank.GIVEN)
        self._config.update(values)
        return self

    def _store(self, prefix: str) -> None:
        for field in ("url", "sqlite_db_path", "redis_url", "redis_db", "postgres_url"):
            self._config.pop(field, None)
        self._config.update((field, prefix + part) for field, part in zip(_FIELDS, _COMPONENTS, strict=True))
        self._using_memory_components = False
        self._plugin_components.clear()

    # --- plug-ins ---

    @classmethod
    def register_plugin_method(cls, method_name: str, method_func: PluginMethod) -> None:
        """Add a method to every builder; it gets the builder first and returns it.

        Raises:
            ValueError: the builder itself has a method of this name.
        """
        if hasattr(cls, method_name):
            raise ValueError(f"PynencBuilder has a method {method_name!r} of its own")
        cls._plugin_methods[method_name] = method_func

    @classmethod
    def register_plugin_validator(cls, validator_func: PluginValidator) -> None:
        """Have `build()` call `validator_func` with the collected settings; it raises ValueError to object."""
        cls._plugin_validators.append(validator_func)

    @classmethod
    def _load_plugins(cls) -> None:
        """Let installed plug-ins register themselves, once a process."""
        if PynencBuilder._plugins_loaded:
            return
        PynencBuilder._plugins_loaded = True
        from importlib.metadata import entry_points

        for entry_point in entry_points(group=PLUGIN_GROUP):
            try:
                entry_point.load().register_builder_methods(cls)
            except Exception as error:  # noqa: BLE001 - foreign code: one broken plug-in must not stop the app
                import warnings

                warnings.warn(f"plug-in {entry_point.name} of Pynenc cannot be used: {error}", stacklevel=3)

    def __getattr__(self, name: str) -> Callable[..., Self]:
        if name.startswith("_"):
            raise AttributeError(name)
        self._load_plugins()
        method = self._plugin_methods.get(name)
        if method is None:
            raise AttributeError(_no_method(name, self._plugin_methods))
        from functools import partial

        return partial(method, self)

    def __dir__(self) -> list[str]:
        self._load_plugins()
        return sorted({*super().__dir__(), *self._plugin_methods})


def _with_database(url: str, db: int) -> str:
    """Return a `redis://` URL with this number of a database in its place."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{db}"))


def _not_yet(method: str, store: str) -> NotYetAvailable:
    return NotYetAvailable(f"the store {store} (PynencBuilder.{method}())", "use sqlite(), redis() or postgres()")


def _no_method(name: str, plugins: Mapping[str, PluginMethod]) -> str:
    from pynenc.config.nearest import did_you_mean

    own = [method for method in vars(PynencBuilder) if not method.startswith("_")]
    hint = did_you_mean(name, (*own, *plugins))
    return f"PynencBuilder has no method {name!r}, and no installed plug-in adds it{hint}"
