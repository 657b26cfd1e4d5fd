"""Where settings come from, and which source wins."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pynenc.config.app_config import AppConfig
from pynenc.config.task_options import TaskOptions
from pynenc.errors import ConfigError, NotYetAvailable
from tests.config.conftest import Load


class Sources:
    """Says `max_threads = n` in any combination of sources."""

    STRONGEST_FIRST = ("assignment", "environment", "constructor", "environment file", "file", "pyproject", "default")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.config_filepath: str | None = None
        self.assigned: int | None = None

    def say(self, source: str, number: int) -> None:
        if source == "assignment":
            self.assigned = number
        elif source == "environment":
            self.environ["PYNENC__MAX_THREADS"] = str(number)
        elif source == "constructor":
            self.values["max_threads"] = number
        elif source == "environment file":
            (self.folder / "env.json").write_text(json.dumps({"max_threads": number}))
            self.environ["PYNENC__FILEPATH"] = "env.json"
        elif source == "file":
            (self.folder / "conf.toml").write_text(f"max_threads = {number}\n")
            self.config_filepath = "conf.toml"
        elif source == "pyproject":
            (self.folder / "pyproject.toml").write_text(f"[tool.pynenc]\nmax_threads = {number}\n")

    def load(self) -> AppConfig:
        conf = AppConfig.load(
            self.values, config_filepath=self.config_filepath, environ=self.environ, folder=str(self.folder)
        )
        if self.assigned is not None:
            conf.max_threads = self.assigned
        return conf


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


@pytest.mark.parametrize(("stronger", "weaker"), list(pairwise(Sources.STRONGEST_FIRST)))
def test_of_two_sources_the_stronger_one_wins(sources: Sources, stronger: str, weaker: str) -> None:
    sources.say(weaker, 3)
    sources.say(stronger, 7)

    assert sources.load().max_threads == 7


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("assignment", "an assignment"),
        ("environment", "environment variable PYNENC__MAX_THREADS"),
        ("constructor", "the constructor"),
        ("environment file", "file env.json (environment variable PYNENC__FILEPATH)"),
        ("file", "file conf.toml"),
        ("default", "default"),
    ],
)
def test_a_value_knows_its_origin(sources: Sources, source: str, origin: str) -> None:
    sources.say(source, 7)

    assert sources.load().origin("max_threads") == origin


def test_pyproject_is_found_in_a_parent_folder_and_named_as_the_origin(tmp_path: Path, load: Load) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.pynenc]\nmax_threads = 7\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    conf = load(folder=str(below))

    assert (conf.max_threads, conf.origin("max_threads")) == (7, str(file))


def test_a_pyproject_without_our_table_does_not_hide_one_further_up(tmp_path: Path, load: Load) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pynenc]\nmax_threads = 7\n")
    below = tmp_path / "a"
    below.mkdir()
    (below / "pyproject.toml").write_text("[project]\nname = 'uses-pynenc'\n")

    assert load(folder=str(below)).max_threads == 7


FILES = {
    "c.toml": 'max_threads = 7\n[threadrunner]\nmin_threads = 2\n[task."m.f"]\nmax_retries = 4\n',
    "c.json": '{"max_threads": 7, "threadrunner": {"min_threads": 2}, "task": {"m.f": {"max_retries": 4}}}',
    "c.yaml": "max_threads: 7\nthreadrunner:\n  min_threads: 2\ntask:\n  m.f:\n    max_retries: 4\n",
    "c.yml": "max_threads: 7\nthreadrunner:\n  min_threads: 2\ntask:\n  m.f:\n    max_retries: 4\n",
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_format_hold_settings_sections_and_tasks(tmp_path: Path, load: Load, name: str) -> None:
    (tmp_path / name).write_text(FILES[name])

    conf = load(config_filepath=name)

    assert (conf.max_threads, conf.min_threads) == (7, 2)
    assert TaskOptions.build("m.f", {}, conf).max_retries == 4


def test_an_empty_file_says_nothing(tmp_path: Path, load: Load) -> None:
    (tmp_path / "c.yaml").write_text("")

    assert load(config_filepath="c.yaml").max_threads == 0


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.ini", "", "must end in"),
        ("gone.toml", None, "cannot be read"),
        ("c.toml", "max_threads = ", "is damaged"),
        ("c.json", "{", "is damaged"),
        ("c.yaml", "a: [", "is damaged"),
        ("c.json", "[1]", "must be a table"),
    ],
)
def test_an_unusable_file_is_named_with_its_trouble(
    tmp_path: Path, load: Load, name: str, content: str | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises(ConfigError) as caught:
        load(config_filepath=name)

    assert name in str(caught.value)
    assert expected in str(caught.value)


def test_a_yaml_file_without_pyyaml_says_what_to_install(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text("max_threads: 7")
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ConfigError) as caught:
        load(config_filepath="c.yaml")

    assert "pip install 'pynenc[yaml]'" in str(caught.value)


# --- sections ---


@pytest.mark.parametrize(
    ("runner", "threads"),
    [("ThreadRunner", 4), ("MultiThreadRunner", 2), ("PersistentProcessRunner", 4), ("ProcessRunner", 9)],
)
def test_the_most_specific_section_of_the_chosen_runner_wins(load: Load, runner: str, threads: int) -> None:
    values = {
        "max_threads": 1,
        "runner": {"max_threads": 9},
        "threadrunner": {"max_threads": 4},
        "multithreadrunner": {"max_threads": 2},
    }

    conf = load({**values, "runner_cls": runner})

    assert conf.max_threads == threads


def test_sections_of_other_runners_do_not_hold(load: Load) -> None:
    conf = load({"runner_cls": "ThreadRunner", "multithreadrunner": {"max_threads": 2}})

    assert (conf.max_threads, conf.origin("max_threads")) == (0, "default")


def test_a_runner_may_have_defaults_of_its_own(load: Load) -> None:
    assert load({"runner_cls": "MultiThreadRunner"}).max_threads == 1


def test_choosing_another_runner_later_chooses_its_sections(load: Load) -> None:
    conf = load({"threadrunner": {"max_threads": 4}, "multithreadrunner": {"max_threads": 2}})
    before = conf.max_threads

    conf.runner_cls = "MultiThreadRunner"

    assert (before, conf.max_threads) == (4, 2)


def test_a_weaker_source_does_not_win_by_being_more_specific(load: Load) -> None:
    conf = load({"threadrunner": {"max_threads": 4}}, environ={"PYNENC__MAX_THREADS": "8"})

    assert conf.max_threads == 8


@pytest.mark.parametrize("variable", ["PYNENC__CONFIGTHREADRUNNER__MAX_THREADS", "PYNENC__THREADRUNNER__MAX_THREADS"])
def test_a_variable_may_name_the_class_of_its_component(load: Load, variable: str) -> None:
    conf = load(environ={variable: "3", "PYNENC__MAX_THREADS": "8"})

    assert conf.max_threads == 3


def test_sections_and_settings_of_stores_to_come_are_passed_over(load: Load) -> None:
    environ = {"PYNENC__CONFIGMONGO__MONGO_URL": "mongodb://x", "PYNENC__MYSQL_HOST": "x"}

    conf = load({"rabbitmq": {"port": 1}, "redis": {"redis_pool_size": 1}, "mongo_url": "mongodb://x"}, environ=environ)

    assert conf.url.startswith("sqlite:///")


def test_published_settings_of_redis_make_its_url(load: Load) -> None:
    environ = {"PYNENC__CONFIGREDIS__REDIS_HOST": "there", "PYNENC__REDIS_PASSWORD": "a/b"}

    conf = load({"orchestrator_cls": "RedisOrchestrator", "redis": {"redis_port": 1, "redis_db": 2}}, environ=environ)

    assert conf.url == "redis://:a%2Fb@there:1/2"


# --- mistakes ---


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda load: load({"max_threds": 1}), ["'max_threds'", "the constructor", "'max_threads'"]),
        (lambda load: load({"threadrunner": {"max_threds": 1}}), ["'max_threds'", "[threadrunner]", "'max_threads'"]),
        (lambda load: load({"thredrunner": {"max_threads": 1}}), ["[thredrunner]", "'threadrunner'"]),
        (lambda load: load(environ={"PYNENC__APPID": "x"}), ["'appid'", "PYNENC__APPID", "'app_id'"]),
        (lambda load: load(environ={"PYNENC__CONFIGTASC__QUEUE": "x"}), ["CONFIGTASC", "'task'"]),
        (lambda load: load({"task": {"m.f": {"queu": "x"}}}), ["'queu'", '[task."m.f"]', "'queue'"]),
        (lambda load: load(environ={"PYNENC__CONFIGTASK__M#F__QUEU": "x"}), ["'queu'", "M#F", "'queue'"]),
        (lambda load: load({"max_threads": "many"}), ["max_threads", "'many'", "the constructor", "whole number"]),
        (lambda load: load({"max_threads": True}), ["max_threads", "True", "whole number"]),
        (lambda load: load({"max_threads": -1}), ["max_threads", "-1", "at least 0"]),
        (lambda load: load({"lease_seconds": float("nan")}), ["lease_seconds", "nan", "a number"]),
        (lambda load: load({"print_arguments": "maybe"}), ["print_arguments", "'maybe'", "true or false"]),
        (lambda load: load({"log_format": "xml"}), ["log_format", "'xml'", "text, json"]),
        (lambda load: load({"queues": "a,b:c"}), ["queues", "'a,b:c'", "without ':'"]),
        (lambda load: load({"app_id": ""}), ["app_id", "''", "1 to 200"]),
        (lambda load: load({"app_id": "../x"}), ["app_id", "'../x'", "without slashes"]),
        (lambda load: load({"scheduler": "fancy"}), ["'fancy'", "fifo", "module:Class"]),
        (lambda load: load({"scheduler": {"mail": "fancy"}}), ["'fancy'", "fifo", "module:Class"]),
        (lambda load: load({"scheduler": {"a:b": "fifo"}}), ["scheduler", "'a:b'", "mail=priority"]),
        (lambda load: load({"priority_rules": "mail.*"}), ["priority_rules", "'mail.*'", "reports.*=-10"]),
        (lambda load: load({"priority_rules": {"mail.*": 101}}), ["priority_rules", "101", "-100 to 100"]),
    ],
)
def test_a_mistake_is_named_with_its_source_and_what_was_expected(
    load: Load, make: Callable[[Load], object], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(load)

    assert [part for part in parts if part not in str(caught.value)] == []


def test_a_mistake_in_a_secret_does_not_show_it(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"url": b"redis://me:hunter2@host"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"trigger_task_modules": ["app.tasks"]},
    ],
)
def test_what_this_release_does_not_have_is_refused_by_name(load: Load, values: dict[str, Any]) -> None:
    with pytest.raises(NotYetAvailable):
        load(values)


def test_defaults_of_what_this_release_does_not_have_are_accepted(load: Load) -> None:
    conf = load({"trigger_task_modules": [], "scheduler": "fifo"})

    assert conf.origin("scheduler") == "the constructor"
