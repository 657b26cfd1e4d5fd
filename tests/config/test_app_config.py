"""`app.conf` itself: every field, assignment, and what follows from several settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pynenc.conf.config_pynenc import ArgumentPrintMode, LogFormat
from pynenc.config import app_config
from pynenc.config.components import component_scheme
from pynenc.config.sources import SETTINGS
from pynenc.errors import ConfigError, NotYetAvailable
from tests.config.conftest import Load

FROM_TEXT: dict[str, tuple[str, Any]] = {
    "app_id": ("shop", "shop"),
    "url": ("memory://", "memory://"),
    "orchestrator_cls": ("MemOrchestrator", "MemOrchestrator"),
    "broker_cls": ("SQLiteBroker", "SQLiteBroker"),
    "state_backend_cls": ("SQLiteStateBackend", "SQLiteStateBackend"),
    "trigger_cls": ("MemTrigger", "MemTrigger"),
    "serializer_cls": ("PickleSerializer", "PickleSerializer"),
    "serializer": ("msgpack", "msgpack"),
    "serializer_keys": (
        "first-secret-of-ours, second-secret-of-ours",
        ("first-secret-of-ours", "second-secret-of-ours"),
    ),
    "client_data_store_cls": ("MemClientDataStore", "MemClientDataStore"),
    "runner_cls": ("ProcessRunner", "ProcessRunner"),
    "scheduler": ("mail=priority, *=lifo", {"mail": "priority", "*": "lifo"}),
    "priority_rules": ("reports.*=-10, mail.*=2.5", {"reports.*": -10.0, "mail.*": 2.5}),
    "dev_mode_force_sync_tasks": ("yes", True),
    "logging_level": ("DEBUG", "debug"),
    "log_format": ("json", LogFormat.JSON),
    "log_stream": ("stdout", "stdout"),
    "log_use_colors": ("False", False),
    "compact_log_context": ("0", False),
    "print_arguments": ("no", False),
    "argument_print_mode": ("HIDDEN", ArgumentPrintMode.HIDDEN),
    "truncate_arguments_length": ("64", 64),
    "min_threads": ("2", 2),
    "max_threads": ("8", 8),
    "min_processes": ("2", 2),
    "max_processes": ("4", 4),
    "num_processes": ("3", 3),
    "min_parallel_slots": ("2", 2),
    "concurrency": ("100", 100),
    "queue_limits": ("mail:2, reports:1", {"mail": 2, "reports": 1}),
    "worker_mode": ("ASYNCIO", "asyncio"),
    "enforce_max_processes": ("no", False),
    "idle_timeout_process_sec": ("30", 30.0),
    "max_parked": ("16", 16),
    "queues": ("mail, reports", ("mail", "reports")),
    "queue_selection_strategy": ("Round_Robin", "round_robin"),
    "sqlite_db_path": ("/data/x.db", "/data/x.db"),
    "redis_url": ("redis://there", "redis://there"),
    "redis_host": ("there", "there"),
    "redis_port": ("6380", 6_380),
    "redis_db": ("2", 2),
    "redis_username": ("me", "me"),
    "redis_password": ("secret", "secret"),
    "postgres_url": ("postgresql://there/db", "postgresql://there/db"),
    "durability": ("full", "full"),
    "min_size_to_cache": ("2048", 2048),
    "client_data_threshold": ("none", None),
    "client_data_store": ("file:///mnt/values", "file:///mnt/values"),
    "client_data_patience": ("2min", 120.0),
    "disable_client_data_store": ("true", True),
    "trigger_task_modules": ("[]", ()),
    "retention_days": ("1.5", 1.5),
    "auto_final_invocation_purge_hours": ("48", 48.0),
    "lease_seconds": ("30", 30.0),
    "prefetch": ("off", False),
    "max_crashes": ("0", 0),
    "health_port": ("8081", 8_081),
    "health_host": ("0.0.0.0", "0.0.0.0"),
    "health_within_seconds": ("90", 90.0),
    "alive_file": ("/run/pynenc/alive", "/run/pynenc/alive"),
    "spare_workers": ("1", 1),
    "worker_max_tasks": ("1000", 1_000),
    "worker_max_age": ("3600", 3_600.0),
    "worker_memory_limit": ("300MB", 300 * 2**20),
    "worker_hard_memory_limit": ("1GiB", 2**30),
    "metrics_port": ("9100", 9_100),
    "metrics_host": ("0.0.0.0", "0.0.0.0"),
    "middleware": ("logging_context, shop.audit:Audit", ("logging_context", "shop.audit:Audit")),
}
CHANGED_TEXT = {bool: ("no", False), int: ("3", 3), float: ("3.5", 3.5), str: ("x", "x")}
RETIRED = {
    name: CHANGED_TEXT[type(setting.default)] for name, setting in SETTINGS.items() if setting.retired is not None
}


def test_every_setting_is_covered_here() -> None:
    assert set(FROM_TEXT) | set(RETIRED) == set(SETTINGS)


@pytest.mark.parametrize("name", [*FROM_TEXT, *RETIRED])
def test_every_setting_is_read_from_the_environment(load: Load, name: str) -> None:
    text, expected = {**FROM_TEXT, **RETIRED}[name]

    conf = load(environ={f"PYNENC__{name.upper()}": text})

    assert getattr(conf, name) == expected
    assert f"PYNENC__{name.upper()}" in conf.origin(name)


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.default != ""])
def test_every_default_is_a_value_that_may_be_set(load: Load, name: str) -> None:
    conf = load({name: SETTINGS[name].default})

    assert getattr(conf, name) == SETTINGS[name].default


@pytest.mark.parametrize("text", ["True", "true", "1", "yes", "on", " TRUE "])
def test_true_is_understood_as_people_write_it(load: Load, text: str) -> None:
    assert load(environ={"PYNENC__DEV_MODE_FORCE_SYNC_TASKS": text}).dev_mode_force_sync_tasks is True


@pytest.mark.parametrize("text", ["False", "false", "0", "no", "off", "N"])
def test_false_is_understood_as_people_write_it(load: Load, text: str) -> None:
    conf = load({"dev_mode_force_sync_tasks": True}, environ={"PYNENC__DEV_MODE_FORCE_SYNC_TASKS": text})

    assert conf.dev_mode_force_sync_tasks is False


@pytest.mark.parametrize("value", ["a,b", '["a", "b"]', "('a', 'b')", "a, b,", ["a", "b"], ("a", "b"), {"b", "a"}])
def test_lists_are_understood_as_people_write_them(load: Load, value: Any) -> None:
    assert load({"queues": value}).queues == ("a", "b")


# --- assignment ---


def test_an_assignment_is_checked_and_a_wrong_one_changes_nothing(load: Load) -> None:
    conf = load({"max_threads": 4})

    with pytest.raises(ConfigError) as caught:
        conf.max_threads = "many"

    assert "max_threads" in str(caught.value)
    assert conf.max_threads == 4


def test_an_unknown_scheduler_is_refused_and_the_one_before_stays(load: Load) -> None:
    conf = load()

    with pytest.raises(ConfigError):
        conf.scheduler = "fancy"

    assert (conf.scheduler, conf.assigned()) == ("fifo", {})


def test_assigning_an_unknown_setting_names_the_nearest(load: Load) -> None:
    conf = load()

    with pytest.raises(ConfigError) as caught:
        setattr(conf, "runer_cls", "ThreadRunner")  # noqa: B010 - a typing error otherwise

    assert "'runner_cls'" in str(caught.value)


def test_reading_an_unknown_setting_is_an_attribute_error(load: Load) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(load(), "runer_cls")  # noqa: B009 - a typing error otherwise

    assert "'runner_cls'" in str(caught.value)


def test_a_class_is_taken_for_its_name(load: Load) -> None:
    class FancyRunner:
        pass

    conf = load()
    conf.runner_cls = FancyRunner

    assert conf.runner_cls == "FancyRunner"


def test_what_was_assigned_can_be_repeated_on_another_configuration(load: Load) -> None:
    conf = load()
    conf.log_format = LogFormat.JSON
    conf.queues = {"a"}
    conf.auto_final_invocation_purge_hours = 12

    other = load()
    for name, value in conf.assigned().items():
        setattr(other, name, value)

    assert conf.assigned() == {"log_format": "json", "queues": ["a"], "retention_days": 0.5}
    assert (other.log_format, other.queues, other.retention_days) == (LogFormat.JSON, ("a",), 0.5)


# --- published names ---


def test_a_published_name_and_its_setting_are_one(load: Load) -> None:
    conf = load({"auto_final_invocation_purge_hours": 24, "min_size_to_cache": 10, "serializer": "json"})

    assert (conf.retention_days, conf.client_data_threshold, conf.serializer_cls) == (1.0, 10, "json")
    assert "auto_final_invocation_purge_hours" in conf.origin("retention_days")


@pytest.mark.parametrize(
    "values",
    [
        {"retention_days": 2, "auto_final_invocation_purge_hours": 24},
        {"auto_final_invocation_purge_hours": 24, "retention_days": 2},
    ],
)
def test_beside_its_published_name_the_setting_wins(load: Load, values: dict[str, Any]) -> None:
    assert load(values).retention_days == 2.0


def test_a_stronger_source_wins_under_either_name(load: Load) -> None:
    conf = load({"retention_days": 2}, environ={"PYNENC__AUTO_FINAL_INVOCATION_PURGE_HOURS": "72"})

    assert conf.retention_days == 3.0


def test_settings_without_effect_are_noted_once_at_debug_level(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    app_config._noted.clear()

    with caplog.at_level(logging.DEBUG, logger="pynenc.config"):
        load({"runner_loop_sleep_time_sec": 1})
        load({"runner_loop_sleep_time_sec": 1})

    notes = [record for record in caplog.records if "runner_loop_sleep_time_sec" in record.getMessage()]
    assert [note.levelname for note in notes] == ["DEBUG"]
    assert "nothing polls" in notes[0].getMessage()


# --- the store ---


def test_without_configuration_the_store_is_a_file_named_after_the_app(load: Load, tmp_path: Path) -> None:
    assert load().url == f"sqlite:///{tmp_path}/.pynenc/pynenc.db"
    assert load({"app_id": "shop"}).url == f"sqlite:///{tmp_path}/.pynenc/shop.db"


@pytest.mark.parametrize(
    ("values", "environ", "expected"),
    [
        ({"url": "memory://"}, {}, "memory://"),
        ({"url": "sqlite:///a.db"}, {"PYNENC_URL": "sqlite:///b.db"}, "sqlite:///b.db"),
        ({}, {"PYNENC_URL": "sqlite:///b.db", "PYNENC__URL": "sqlite:///c.db"}, "sqlite:///b.db"),
        ({"orchestrator_cls": "MemOrchestrator", "broker_cls": "MemBroker"}, {}, "memory://"),
        ({"sqlite_db_path": "/data/x.db"}, {}, "sqlite:////data/x.db"),
        ({"sqlite": {"sqlite_db_path": "/data/x.db"}}, {}, "sqlite:////data/x.db"),
        ({"orchestrator_cls": "SQLiteOrchestrator", "sqlite_db_path": "/x.db"}, {}, "sqlite:////x.db"),
        ({"url": "sqlite:///a.db", "sqlite_db_path": "/x.db"}, {}, "sqlite:///a.db"),
        ({"url": "sqlite:///a.db"}, {"PYNENC__SQLITE_DB_PATH": "/x.db"}, "sqlite:////x.db"),
        ({"url": "memory://"}, {"PYNENC__SQLITE_DB_PATH": "/x.db"}, "memory://"),
        ({"url": "sqlite:///a.db", "orchestrator_cls": "MemOrchestrator"}, {}, "sqlite:///a.db"),
        ({"url": "sqlite:///a.db"}, {"PYNENC__ORCHESTRATOR_CLS": "MemOrchestrator"}, "memory://"),
        ({"sqlite_db_path": "/x.db", "durability": "full"}, {}, "sqlite:////x.db?durability=full"),
        ({"url": "sqlite:///a.db"}, {"PYNENC__DURABILITY": "full"}, "sqlite:///a.db?durability=full"),
        (
            {"url": "sqlite:///a.db?busy_timeout_s=1", "durability": "full"},
            {},
            "sqlite:///a.db?busy_timeout_s=1&durability=full",
        ),
        ({"url": "sqlite:///a.db?durability=none", "durability": "full"}, {}, "sqlite:///a.db?durability=none"),
        ({"url": "memory://", "durability": "full"}, {}, "memory://"),
        ({"orchestrator_cls": "RedisOrchestrator"}, {}, "redis://localhost:6379/0"),
        ({"redis_url": "redis://x", "broker_cls": "RedisBroker"}, {}, "redis://x"),
        ({"url": "redis://x", "durability": "replicated"}, {}, "redis://x?durability=replicated"),
        ({"postgres_url": "postgresql://x/y", "orchestrator_cls": "PostgresOrchestrator"}, {}, "postgresql://x/y"),
        ({"sqlite_db_path": "/a b?#%.db"}, {}, "sqlite:////a%20b%3F%23%25.db"),
        ({"orchestrator_cls": "MemOrchestrator", "trigger_cls": "DisabledTrigger"}, {}, "memory://"),
    ],
)
def test_the_strongest_source_that_names_a_store_chooses_it(
    load: Load, values: dict[str, Any], environ: dict[str, str], expected: str
) -> None:
    assert load(values, environ=environ).url == expected


@pytest.mark.parametrize(
    "values",
    [
        {"orchestrator_cls": "MongoOrchestrator"},
        {"orchestrator_cls": "MemOrchestrator", "broker_cls": "SQLiteBroker"},
        {"orchestrator_cls": "SQLiteOrchestrator", "broker_cls": "RabbitMqBroker"},
        {"orchestrator_cls": "SQLiteOrchestrator", "trigger_cls": "MongoTrigger"},
    ],
)
def test_stores_to_come_and_mixtures_are_refused_when_the_store_is_asked_for(
    load: Load, values: dict[str, Any]
) -> None:
    conf = load(values)

    with pytest.raises(NotYetAvailable):
        _ = conf.url


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("MemOrchestrator", "memory"),
        ("MemTrigger", "memory"),
        ("SQLiteBroker", "sqlite"),
        ("SQLiteStateBackend", "sqlite"),
        ("pynenc.broker.MemBroker", "memory"),
    ],
)
def test_class_names_of_components_mean_stores(name: str, scheme: str) -> None:
    assert component_scheme(name) == scheme


def test_an_unknown_component_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        component_scheme("SQLlteBroker")

    assert "'SQLiteBroker'" in str(caught.value)


@pytest.mark.parametrize(
    "values", [{"disable_client_data_store": True}, {"client_data_store_cls": "DisabledClientDataStore"}]
)
def test_a_disabled_client_data_store_means_no_threshold(load: Load, values: dict[str, Any]) -> None:
    assert load({"client_data_threshold": 10, **values}).client_data_threshold is None


# --- showing ---


def test_a_description_has_every_setting_with_its_origin_and_without_secrets(load: Load) -> None:
    conf = load({"url": "sqlite:///x.db?password=hunter2"})

    views = {view.name: view for view in conf.describe()}

    assert set(views) == set(SETTINGS)
    assert (views["url"].value, views["url"].origin) == ("sqlite:///x.db?password=***", "the constructor")
    assert "hunter2" not in repr(conf)
    assert all(view.doc for view in views.values())
