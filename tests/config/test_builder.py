"""`PynencBuilder`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynenc.builder import PynencBuilder
from pynenc.conf.config_pynenc import ArgumentPrintMode, LogFormat
from pynenc.conf.config_task import ConcurrencyControlType
from pynenc.errors import ConfigError, NotYetAvailable

Chain = Callable[[PynencBuilder], PynencBuilder]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PynencBuilder, "_plugin_methods", {})
    monkeypatch.setattr(PynencBuilder, "_plugin_validators", [])
    monkeypatch.setattr(PynencBuilder, "_plugins_loaded", True)


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (lambda b: b.app_id("shop"), {"app_id": "shop"}),
        (lambda b: b.memory(), {"url": "memory://"}),
        (lambda b: b.sqlite("/x.db"), {"url": "sqlite:////x.db"}),
        (lambda b: b.sqlite(Path("/x.db")), {"url": "sqlite:////x.db"}),
        (lambda b: b.memory().sqlite("/x.db"), {"url": "sqlite:////x.db"}),
        (lambda b: b.sqlite("/x.db").memory(), {"url": "memory://"}),
        (lambda b: b.thread_runner(2, 8), {"runner_cls": "ThreadRunner", "min_threads": 2, "max_threads": 8}),
        (lambda b: b.multi_thread_runner(1, 4), {"runner_cls": "MultiThreadRunner", "max_threads": 4}),
        (lambda b: b.process_runner(), {"runner_cls": "ProcessRunner"}),
        (lambda b: b.persistent_process_runner(3), {"runner_cls": "PersistentProcessRunner", "num_processes": 3}),
        (lambda b: b.dummy_runner(), {"runner_cls": "DummyRunner"}),
        (lambda b: b.async_runner(50), {"runner_cls": "AsyncRunner", "concurrency": 50}),
        (
            lambda b: b.hybrid_runner(2, 50, "asyncio"),
            {"runner_cls": "HybridRunner", "num_processes": 2, "concurrency": 50, "worker_mode": "asyncio"},
        ),
        (lambda b: b.dev_mode(), {"dev_mode_force_sync_tasks": True}),
        (lambda b: b.dev_mode(force_sync_tasks=False), {"dev_mode_force_sync_tasks": False}),
        (
            lambda b: b.logging("debug", stream="stdout", colors=False, fmt="json"),
            {
                "logging_level": "debug",
                "log_stream": "stdout",
                "log_use_colors": False,
                "log_format": LogFormat.JSON,
            },
        ),
        (lambda b: b.logging_level("ERROR"), {"logging_level": "error"}),
        (lambda b: b.logging_colors(True), {"log_use_colors": True}),
        (lambda b: b.logging_colors(), {"log_use_colors": None}),
        (lambda b: b.logging_stream("stdout"), {"log_stream": "stdout"}),
        (lambda b: b.logging_format("json"), {"log_format": LogFormat.JSON}),
        (lambda b: b.runner_tuning(min_parallel_slots=3), {"min_parallel_slots": 3}),
        (lambda b: b.task_control(blocking_control=True), {"blocking_control": True}),
        (lambda b: b.concurrency_control("disabled", "DISABLED"), {}),
        (lambda b: b.serializer_json(), {"serializer_cls": "JsonSerializer"}),
        (lambda b: b.serializer_json_pickle(), {"serializer_cls": "JsonPickleSerializer"}),
        (lambda b: b.serializer_pickle(), {"serializer_cls": "PickleSerializer"}),
        (lambda b: b.mem_client_data_store(512), {"client_data_threshold": 512}),
        (lambda b: b.client_data_store("file:///mnt"), {"client_data_store": "file:///mnt"}),
        (lambda b: b.disable_client_data_store(), {"client_data_threshold": None}),
        (lambda b: b.disable_client_data_store().mem_client_data_store(512), {"client_data_threshold": 512}),
        (lambda b: b.mem_trigger(30), {"trigger_cls": "MemTrigger", "scheduler_interval_seconds": 30}),
        (lambda b: b.max_pending_seconds(9), {"max_pending_seconds": 9}),
        (
            lambda b: b.argument_print_mode("FULL", 64),
            {
                "argument_print_mode": ArgumentPrintMode.FULL,
                "truncate_arguments_length": 64,
            },
        ),
        (lambda b: b.hide_arguments(), {"argument_print_mode": ArgumentPrintMode.HIDDEN, "print_arguments": False}),
        (lambda b: b.show_argument_keys(), {"argument_print_mode": ArgumentPrintMode.KEYS}),
        (lambda b: b.show_full_arguments(), {"argument_print_mode": ArgumentPrintMode.FULL}),
        (lambda b: b.show_truncated_arguments(9), {"truncate_arguments_length": 9}),
        (lambda b: b.custom_config(cached_status_time=0.5, max_crashes=2), {"max_crashes": 2}),
        (lambda b: b.trigger_task_modules([]), {"trigger_task_modules": ()}),
    ],
)
def test_a_method_sets_its_settings(chain: Chain, expected: dict[str, Any]) -> None:
    conf = chain(PynencBuilder()).build().conf

    assert {name: getattr(conf, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("chain", "url"),
    [
        (lambda b: b.redis(), "redis://localhost:6379/0"),
        (lambda b: b.redis(db=3), "redis://localhost:6379/3"),
        (lambda b: b.redis("redis://me:secret@host:6380/1", 2), "redis://me:secret@host:6380/2"),
        (lambda b: b.redis("rediss://host?pool_size=2"), "rediss://host?pool_size=2"),
        (lambda b: b.postgres(), "postgresql://"),
        (lambda b: b.postgres("postgresql://host/db"), "postgresql://host/db"),
    ],
)
def test_a_server_is_named_by_its_url(chain: Chain, url: str) -> None:
    assert chain(PynencBuilder()).build().conf.url == url


@pytest.mark.parametrize(
    ("chain", "store"),
    [
        (lambda b: b.mongo("mongodb://x"), "mongodb"),
        (lambda b: b.mysql("mysql://x"), "mysql"),
        (lambda b: b.rabbitmq_broker("amqp://x"), "rabbitmq"),
        (lambda b: b.nats_broker("nats://x"), "nats"),
    ],
)
def test_a_store_to_come_is_refused_by_name(chain: Chain, store: str) -> None:
    with pytest.raises(NotYetAvailable) as caught:
        chain(PynencBuilder())

    assert f"the store {store} " in str(caught.value)


def test_the_builder_says_which_invocations_exclude_each_other() -> None:
    app = PynencBuilder().memory().concurrency_control("task", ConcurrencyControlType.ARGUMENTS).build()

    @app.task
    def plain() -> None: ...

    @app.task(running_concurrency="disabled")
    def own() -> None: ...

    assert (plain.conf.running_concurrency, plain.conf.registration_concurrency) == ("task", "arguments")
    assert (own.conf.running_concurrency, own.conf.registration_concurrency) == ("disabled", "arguments")


@pytest.mark.parametrize("chain", [lambda b: b.trigger_task_modules(["app.tasks"])])
def test_a_feature_to_come_is_refused_at_the_call(chain: Chain) -> None:
    with pytest.raises(NotYetAvailable):
        chain(PynencBuilder())


@pytest.mark.parametrize(
    "chain", [lambda b: b.logging_level("loud"), lambda b: b.thread_runner(max_threads=-1), lambda b: b.app_id("")]
)
def test_a_wrong_value_is_refused_at_the_call(chain: Chain) -> None:
    with pytest.raises(ConfigError):
        chain(PynencBuilder())


def test_custom_settings_are_checked_when_the_app_is_built() -> None:
    builder = PynencBuilder().custom_config(max_crashs=2)

    with pytest.raises(ConfigError) as caught:
        builder.build()

    assert "'max_crashes'" in str(caught.value)


def test_memory_does_not_go_with_worker_processes() -> None:
    builder = PynencBuilder().memory().process_runner()

    with pytest.raises(ConfigError) as caught:
        builder.build()

    assert "ProcessRunner" in str(caught.value)


def test_the_environment_is_stronger_than_the_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNENC__LOGGING_LEVEL", "error")

    assert PynencBuilder().logging_level("debug").build().conf.logging_level == "error"


# --- plug-ins ---


class Plugin:
    """As an entry point of the group `pynenc.plugins` names it."""

    @staticmethod
    def register_builder_methods(builder_class: type[PynencBuilder]) -> None:
        builder_class.register_plugin_method("special", lambda builder, value: builder.custom_config(app_id=value))


class EntryPoint:
    name = "special"

    def __init__(self, plugin: object) -> None:
        self._plugin = plugin

    def load(self) -> object:
        return self._plugin


def _install(monkeypatch: pytest.MonkeyPatch, *plugins: object) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(plugin) for plugin in plugins] if group == "pynenc.plugins" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(PynencBuilder, "_plugins_loaded", False)


def test_an_installed_plugin_adds_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Plugin)

    app = PynencBuilder().special("shop").build()

    assert app.conf.app_id == "shop"
    assert "special" in dir(PynencBuilder())


def test_a_broken_plugin_is_named_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, None, Plugin)

    with pytest.warns(UserWarning, match="special"):
        builder = PynencBuilder().special("shop")

    assert builder.build().conf.app_id == "shop"


def test_a_plugin_cannot_replace_a_method() -> None:
    with pytest.raises(ValueError, match="memory"):
        PynencBuilder.register_plugin_method("memory", lambda builder: builder)


def test_a_validator_of_a_plugin_sees_the_settings_and_may_object() -> None:
    def validate(config: dict[str, Any]) -> None:
        if config.get("app_id") == "taken":
            raise ValueError("taken is taken")

    PynencBuilder.register_plugin_validator(validate)

    with pytest.raises(ValueError, match="taken is taken"):
        PynencBuilder().app_id("taken").build()
    assert PynencBuilder().app_id("free").build().conf.app_id == "free"


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = PynencBuilder().sqllite

    assert "'sqlite'" in str(caught.value)
