"""Where settings come from: each source becomes a layer of checked entries that know their origin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct, field

from pynenc.config.fields import LogSettings, RunnerSettings, StoreSettings
from pynenc.config.kinds import Kind
from pynenc.config.nearest import did_you_mean
from pynenc.config.retired import RetiredSettings
from pynenc.config.settings import PublishedName, Setting, settings_of
from pynenc.config.task_fields import OPTIONS
from pynenc.errors import ConfigError, NotYetAvailable

ENV_PREFIX = "PYNENC__"
ENV_URL = "PYNENC_URL"
ENV_FILE = "PYNENC__FILEPATH"


class AppSettings(StoreSettings, RunnerSettings, LogSettings, RetiredSettings):
    """All settings of an app as attributes."""

    __slots__ = ()


SETTINGS: dict[str, Setting[Any]] = settings_of(AppSettings)

RUNNER_SECTIONS: dict[str, tuple[str, ...]] = {
    "runner": ("runner",),
    "threadrunner": ("threadrunner", "runner"),
    "multithreadrunner": ("multithreadrunner", "threadrunner", "runner"),
    "processrunner": ("processrunner", "runner"),
    "persistentprocessrunner": ("persistentprocessrunner", "threadrunner", "runner"),
    "asyncrunner": ("asyncrunner", "runner"),
    "hybridrunner": ("hybridrunner", "runner"),
    "dummyrunner": ("dummyrunner", "runner"),
}
"""Runner class -> the sections that hold for it, the most specific first."""

_PARTS = ("orchestrator", "broker", "statebackend", "trigger", "clientdatastore", "argcache", "runner")
OTHER_SECTIONS = frozenset(
    {part + store for part in _PARTS[:-1] for store in ("", "sqlite", "mem", "memory", "redis", "postgres")}
    | {"pynenc", "sqlite", "redis", "postgres", "runnersqlite", "serializer", "logging"}
)
COMING_STORES = ("redis", "mongo", "rabbitmq", "rustvello", "postgres", "mysql", "nats", "kafka", "sqs")
"""Settings and sections of these stores that are unknown here are passed over: one file may serve several releases."""


class Rank(IntEnum):
    """Strength of a source."""

    DEFAULT = 0
    PYPROJECT = 1
    FILE = 2
    FILE_OF_ENVIRONMENT = 3
    GIVEN = 4
    ENVIRONMENT = 5
    ASSIGNED = 6


class Entry(Struct, frozen=True):
    """A value and where it was written."""

    value: Any
    origin: str
    rank: Rank = Rank.DEFAULT


Entries = dict[str, Entry]


class Layer(Struct):
    """What one source says."""

    rank: Rank
    general: Entries = field(default_factory=dict)
    sections: dict[str, Entries] = field(default_factory=dict)
    options: Entries = field(default_factory=dict)
    """Options of all tasks, written beside the app's settings."""
    tasks: dict[str, Entries] = field(default_factory=dict)
    """Options by task id in lower case; "" for those of the section of all tasks."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """Names of settings without meaning here, and why."""

    def put(self, section: str, name: str, value: Any, origin: str) -> None:
        """Take a setting of the app, or at the top level an option of every task.

        Raises:
            ConfigError: the name is unknown or the value ill-typed.
            NotYetAvailable: the value asks for what this release does not have.
        """
        setting = SETTINGS.get(name)
        if setting is None and not section and name in OPTIONS:
            self.options[name] = option_entry(name, value, origin, self.rank)
        elif setting is None and name.startswith(COMING_STORES):
            self.passed_over[name] = "its store is not part of this release"
        elif setting is None:
            known = SETTINGS if section else (*SETTINGS, *OPTIONS)
            raise ConfigError(f"unknown setting {name!r} in {origin}{did_you_mean(name, known)}")
        else:
            target, entry = setting_entry(setting, value, origin, self.rank)
            into = self.sections.setdefault(section, {}) if section else self.general
            if target == name or target not in into:
                into[target] = entry

    def put_option(self, task: str, name: str, value: Any, origin: str) -> None:
        """Take an option of a task, or of all with `task` ""."""
        self.tasks.setdefault(task.lower(), {})[name] = option_entry(name, value, origin, self.rank)


def setting_entry(setting: Setting[Any], value: Any, origin: str, rank: Rank) -> tuple[str, Entry]:
    """Return the name of the setting that a value is for, and its checked entry."""
    found = read(setting.name, setting.kind, value, origin, secret=setting.secret)
    if isinstance(setting, PublishedName):
        return setting.target, Entry(setting.inward(found), f"{setting.name} in {origin}", rank)
    if setting.coming is not None and found != setting.default:
        raise NotYetAvailable(f"{setting.name}={found!r} ({origin})", setting.coming)
    return setting.name, Entry(found, origin, rank)


def option_entry(name: str, value: Any, origin: str, rank: Rank) -> Entry:
    """Return the checked entry of an option; what would import user code is checked when the option is used."""
    option = OPTIONS.get(name)
    deferred = option is not None and option.kind.deferred
    return Entry(value if deferred else option_value(name, value, origin), origin, rank)


def option_value(name: str, value: Any, origin: str, error_type: type[ConfigError] = ConfigError) -> Any:
    """Return the value of an option as the engine works with it.

    Raises:
        ConfigError: as `error_type`: the option is unknown or ill-typed.
        NotYetAvailable: it asks for what this release does not have.
    """
    option = OPTIONS.get(name)
    if option is None:
        raise error_type(f"unknown task option {name!r} in {origin}{did_you_mean(name, OPTIONS)}")
    found = read(name, option.kind, value, origin, error_type=error_type)
    if option.coming is not None and found != option.default:
        raise NotYetAvailable(f"{name}={found!r} ({origin})", option.coming)
    return found


def read(
    name: str, kind: Kind, value: Any, origin: str, *, secret: bool = False, error_type: type[ConfigError] = ConfigError
) -> Any:
    """Return `value` as the engine works with it.

    Raises:
        ConfigError: it is not what is expected; names field, source and expectation.
    """
    try:
        return kind.convert(value)
    except (ValueError, TypeError, OverflowError) as error:
        shown, why = ("a secret value", "") if secret else (repr(value), f" ({error})")
        raise error_type(f"{name}: {shown} in {origin} is not {kind.expected}{why}") from None


# --- documents: files, pyproject.toml, the constructor ---


def layer_of(document: Mapping[str, Any], rank: Rank, origin: str) -> Layer:
    """Return what a document says: settings, and sections of settings."""
    layer = Layer(rank)
    for key, value in document.items():
        # A setting whose value is a table is no section.
        section = section_name(key) if isinstance(value, Mapping) and key not in SETTINGS else ""
        if section == "task":
            for task, name, option in _task_options("", value):
                where = f'[task."{task}"] of {origin}' if task else f"[task] of {origin}"
                layer.put_option(task, name, option, where)
        elif section:
            _put_section(layer, key, section, value, origin)
        else:
            layer.put("", key, value, origin)
    return layer


def section_name(key: str) -> str:
    """Return the plain name of a section: of `ConfigThreadRunner`, `thread_runner` and `threadrunner` the last."""
    return key.lower().replace("_", "").replace("-", "").removeprefix("config")


def _put_section(layer: Layer, key: str, section: str, values: Mapping[str, Any], origin: str) -> None:
    if is_section(section):
        for name, value in values.items():
            layer.put(section, name, value, f"[{key}] of {origin}")
    elif any(store in section for store in COMING_STORES):
        layer.passed_over[f"[{key}]"] = "its store is not part of this release"
    else:
        known = (*RUNNER_SECTIONS, *OTHER_SECTIONS, "task")
        raise ConfigError(f"unknown section [{key}] in {origin}{did_you_mean(section, known)}")


def is_section(name: str) -> bool:
    """Whether sections of this plain name hold settings."""
    return name in RUNNER_SECTIONS or name in OTHER_SECTIONS


def _task_options(task: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (task, option, value); a table below the section of tasks is a task or a part of its dotted name."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _task_options(f"{task}.{key}" if task else key, value)
        else:
            yield task, key, value


# --- the environment ---


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return what environment variables say: PYNENC_URL and those that begin with PYNENC__."""
    layer = Layer(Rank.ENVIRONMENT)
    for variable in sorted(environ):
        if variable.startswith(ENV_PREFIX) and variable != ENV_FILE:
            _put_variable(layer, variable, environ[variable])
    if environ.get(ENV_URL):
        layer.put("", "url", environ[ENV_URL], f"environment variable {ENV_URL}")
    return layer


def _put_variable(layer: Layer, variable: str, value: str) -> None:
    origin = f"environment variable {variable}"
    owner, _, name = variable.removeprefix(ENV_PREFIX).lower().rpartition("__")
    head, _, task = owner.partition("__")
    section = section_name(head)
    if section == "task":
        layer.put_option(task.replace("#", "."), name, value, origin)
    elif not owner or is_section(section):
        layer.put(section, name, value, origin)
    elif any(store in section for store in COMING_STORES):
        layer.passed_over[variable] = "its store is not part of this release"
    else:
        raise ConfigError(
            f"{origin} names no part of the configuration: {head!r} is unknown"
            + did_you_mean(section, (*RUNNER_SECTIONS, *OTHER_SECTIONS, "task"))
        )


# --- files ---


def file_layer(path: str, rank: Rank, origin: str) -> Layer:
    """Return what a TOML, YAML or JSON file says.

    Raises:
        ConfigError: it cannot be read, or is not a file of these formats.
    """
    parse = _PARSERS.get(os.path.splitext(path)[1].lower())
    if parse is None:
        raise ConfigError(f"{origin}: the name must end in {', '.join(_PARSERS)}")
    try:
        with open(path, "rb") as opened:
            document = parse(opened.read())
    except OSError as error:
        raise ConfigError(f"{origin} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{origin} is damaged: {error}") from error
    if document is None:
        return Layer(rank)
    if not isinstance(document, Mapping):
        raise ConfigError(f"{origin} must be a table of settings, not {type(document).__name__}")
    return layer_of(_own_part(document), rank, origin)


def pyproject_layer(folder: str) -> Layer:
    """Return what [tool.pynenc] says in the nearest pyproject.toml, upwards from `folder`, that has it."""
    while True:
        path = os.path.join(folder, "pyproject.toml")
        try:
            with open(path, "rb") as opened:
                data = opened.read()
        except OSError:
            data = b""
        if b"pynenc" in data:
            document = _parse_pyproject(data, path)
            if document is not None:
                return layer_of(document, Rank.PYPROJECT, path)
        parent = os.path.dirname(folder)
        if parent == folder:
            return Layer(Rank.PYPROJECT)
        folder = parent


def _parse_pyproject(data: bytes, path: str) -> Mapping[str, Any] | None:
    try:
        document = _parse_toml(data)
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    tool = document.get("tool")
    own = tool.get("pynenc") if isinstance(tool, Mapping) else None
    return own if isinstance(own, Mapping) else None


def _own_part(document: Mapping[str, Any]) -> Mapping[str, Any]:
    tool = document.get("tool")
    own = tool.get("pynenc") if isinstance(tool, Mapping) else None
    return own if isinstance(own, Mapping) else document


def _parse_toml(data: bytes) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(data.decode())


def _parse_json(data: bytes) -> Any:
    import json

    return json.loads(data)


def _parse_yaml(data: bytes) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError("YAML files need PyYAML: pip install 'pynenc[yaml]', or use TOML or JSON") from None
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(error) from error


_PARSERS = {".toml": _parse_toml, ".json": _parse_json, ".yaml": _parse_yaml, ".yml": _parse_yaml}
