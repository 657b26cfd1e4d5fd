"""`app.conf`: the settings of an app, from every source, each knowing where it came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.config.components import component_scheme, is_disabled
from pynenc.config.nearest import did_you_mean
from pynenc.config.settings import PublishedName
from pynenc.config.sources import (
    ENV_FILE,
    RUNNER_SECTIONS,
    SETTINGS,
    AppSettings,
    Entries,
    Entry,
    Layer,
    Rank,
    environment_layer,
    file_layer,
    layer_of,
    pyproject_layer,
    section_name,
    setting_entry,
)
from pynenc.errors import ConfigError, NotYetAvailable

RUNNER_DEFAULTS: dict[str, dict[str, Any]] = {"multithreadrunner": {"max_threads": 1}}
"""Defaults that differ for a class of runners."""

_STORE_OF_ITS_OWN = ("orchestrator_cls", "broker_cls", "state_backend_cls")
_noted: set[str] = set()


class SettingView(Struct, frozen=True, kw_only=True):
    """One setting for `show_config`: without secrets."""

    name: str
    value: Any
    origin: str
    doc: str
    retired: str | None


class AppConfig(AppSettings):
    """Settings as attributes; assignment is checked and wins over every other source.

    Sources, strongest first: assignment, environment, constructor and builder (and decorators, for tasks), the file
    that PYNENC__FILEPATH names, `config_filepath`, [tool.pynenc] of pyproject.toml, default. Within a source the
    most specific section wins.
    """

    __slots__ = ("_assigned", "_folder", "_layers", "_resolved")

    def __init__(self, layers: list[Layer], folder: str) -> None:
        """
        Args:
            layers: what the sources say, strongest first.
            folder: the working folder: where the default store is.
        """
        self._assigned = Layer(Rank.ASSIGNED)
        self._layers = [self._assigned, *layers]
        self._folder = folder
        self._resolved: dict[str, Any] = {}
        self._note_what_has_no_effect()

    @classmethod
    def load(
        cls,
        config_values: Mapping[str, Any] | None = None,
        *,
        config_filepath: str | None = None,
        environ: Mapping[str, str] | None = None,
        folder: str | None = None,
    ) -> AppConfig:
        """Read every source.

        Args:
            config_values: what the constructor or the builder was given; may contain sections.
            environ: instead of the process's environment.
            folder: instead of the working folder.

        Raises:
            ConfigError: a setting is unknown or ill-typed, or a file cannot be read; names it and its source.
            NotYetAvailable: a setting asks for what this release does not have.
        """
        environ = os.environ if environ is None else environ
        folder = folder or os.getcwd()
        layers = [environment_layer(environ), layer_of(config_values or {}, Rank.GIVEN, "the constructor")]
        named = environ.get(ENV_FILE)
        if named:
            origin = f"file {named} (environment variable {ENV_FILE})"
            layers.append(file_layer(os.path.join(folder, named), Rank.FILE_OF_ENVIRONMENT, origin))
        if config_filepath is not None:
            path = os.path.join(folder, config_filepath)
            layers.append(file_layer(path, Rank.FILE, f"file {config_filepath}"))
        layers.append(pyproject_layer(folder))
        conf = cls(layers, folder)
        conf._check_scheduler()
        return conf

    # --- reading and writing ---

    def value_of(self, name: str) -> Any:
        """Return the value in force of the setting `name`."""
        # A value computed from what was before an assignment goes into the table that the assignment dropped.
        resolved = self._resolved
        if name not in resolved:
            resolved[name] = self._compute(name)
        return resolved[name]

    def assign(self, name: str, value: Any) -> None:
        """Check `value` and let it win over every other source, as `conf.<name> = value` does."""
        target, entry = setting_entry(SETTINGS[name], value, "an assignment", Rank.ASSIGNED)
        before = self._assigned.general.get(target)
        self._assigned.general[target] = entry
        self._resolved = {}
        if target == "scheduler":
            try:
                self._check_scheduler()
            except ConfigError:
                self._restore(target, before)
                raise

    def _restore(self, name: str, before: Entry | None) -> None:
        del self._assigned.general[name]
        if before is not None:
            self._assigned.general[name] = before
        self._resolved = {}

    def origin(self, name: str) -> str:
        """Return where the value in force of a setting was written; "default" if nowhere.

        Raises:
            ConfigError: no setting has this name.
        """
        return self._entry(self._known(name)).origin

    def assigned(self) -> dict[str, Any]:
        """Return what was assigned at run time, as plain JSON types: assigning it to another `conf` repeats it."""
        return {name: _plain(entry.value) for name, entry in self._assigned.general.items()}

    def describe(self) -> list[SettingView]:
        """Return every setting with its value and origin, by name; secrets removed."""
        return [self._view(name) for name in sorted(SETTINGS)]

    def _view(self, name: str) -> SettingView:
        setting = SETTINGS[name]
        value = self.value_of(name)
        if setting.secret:
            from pynenc.logs.redaction import HIDDEN, redact_url

            value = redact_url(value) if isinstance(value, str) else (HIDDEN,) * len(value)
        return SettingView(
            name=name, value=_plain(value), origin=self.origin(name), doc=setting.doc, retired=setting.retired
        )

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in SETTINGS and name not in AppConfig.__slots__:
                raise ConfigError(f"unknown setting {name!r} in an assignment{did_you_mean(name, SETTINGS)}")
            object.__setattr__(self, name, value)

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"the configuration has no setting {name!r}{did_you_mean(name, SETTINGS)}")

    def __repr__(self) -> str:
        changed = {view.name: view.value for view in self.describe() if view.origin != "default"}
        return f"AppConfig({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    # --- options of tasks ---

    def task_options(self, task_id: str, decorator: Mapping[str, Entry]) -> Entries:
        """Return what all sources say about the options of one task, weaker ones overridden.

        Args:
            decorator: entries of its decorator; they come just before those of the constructor.
        """
        merged: Entries = {}
        for layer in reversed(self._layers):
            for options in (layer.options, layer.tasks.get("", {}), layer.tasks.get(task_id.lower(), {})):
                merged.update(options)
            if layer.rank is Rank.GIVEN:
                merged.update(decorator)
        return merged

    # --- which source wins ---

    def _entry(self, name: str) -> Entry:
        runner_sections = () if name == "runner_cls" else self._runner_sections()
        for layer in self._layers:
            entry = _find(layer, name, runner_sections)
            if entry is not None:
                return entry
        default = SETTINGS[name].default
        if runner_sections:
            default = RUNNER_DEFAULTS.get(runner_sections[0], {}).get(name, default)
        return Entry(default, "default")

    def _runner_sections(self) -> tuple[str, ...]:
        runner = section_name(self.value_of("runner_cls").rpartition(".")[2])
        return RUNNER_SECTIONS.get(runner, ("runner",))

    def _known(self, name: str) -> str:
        setting = SETTINGS.get(name)
        if setting is None:
            raise ConfigError(f"unknown setting {name!r}{did_you_mean(name, SETTINGS)}")
        return setting.target if isinstance(setting, PublishedName) else name

    def _compute(self, name: str) -> Any:
        setting = SETTINGS[name]
        if isinstance(setting, PublishedName):
            return setting.outward(self.value_of(setting.target))
        derive = _DERIVED.get(name)
        return self._entry(name).value if derive is None else derive(self)

    # --- what follows from several settings ---

    def _url(self) -> str:
        """Return the store's URL: `url`, unless a stronger source names a store by the class of a component."""
        url = self._entry("url")
        named = [entry for entry in map(self._entry, _STORE_OF_ITS_OWN) if entry.value]
        by_class = max((entry.rank for entry in named), default=Rank.DEFAULT)
        scheme = self._scheme_of_components() if named and by_class > url.rank else ""
        path = self._entry("sqlite_db_path")
        if url.value and not scheme:
            if url.value.startswith("memory:"):
                return str(url.value)
            if url.value.startswith("sqlite:") and path.rank > url.rank:
                return self._sqlite_url(path.value)
            return self._durable(url.value)
        return self._url_of_scheme(scheme)

    def _url_of_scheme(self, scheme: str) -> str:
        if scheme == "memory":
            return "memory://"
        if scheme == "redis":
            return self._durable(self._entry("redis_url").value or self._redis_url())
        if scheme == "postgresql":
            # Without a place, the client library's own variables say where (PGHOST, PGSERVICE and others).
            return self._durable(self._entry("postgres_url").value or "postgresql://")
        return self._sqlite_url(self._entry("sqlite_db_path").value)

    def _redis_url(self) -> str:
        from urllib.parse import quote

        user, password = (quote(self._entry(f"redis_{name}").value, safe="") for name in ("username", "password"))
        login = f"{user}:{password}@" if user or password else ""
        place = f"{self._entry('redis_host').value}:{self._entry('redis_port').value}"
        return f"redis://{login}{place}/{self._entry('redis_db').value}"

    def _scheme_of_components(self) -> str:
        schemes = {
            name: component_scheme(self._entry(name).value) for name in _STORE_OF_ITS_OWN if self._entry(name).value
        }
        first, scheme = next(iter(schemes.items()))
        for name, other in schemes.items():
            if other != scheme:
                raise NotYetAvailable(
                    f"{name}={self._entry(name).value!r} beside {first}={self._entry(first).value!r}: "
                    "stores of their own for parts of an app",
                    "name one store for all",
                )
        for name in ("trigger_cls", "client_data_store_cls"):
            if (value := self._entry(name).value) and not is_disabled(value):
                component_scheme(value)
        return scheme

    def _sqlite_url(self, path: str) -> str:
        from urllib.parse import quote

        location = os.path.join(self._folder, path or os.path.join(".pynenc", f"{self.value_of('app_id')}.db"))
        return self._durable(f"sqlite:///{quote(location)}")

    def _durable(self, url: str) -> str:
        """Return a URL with the durability in force; what the URL itself says about it stays."""
        durability = self._entry("durability")
        query = url.partition("?")[2]
        if durability.rank is Rank.DEFAULT or "durability=" in query:
            return url
        return f"{url}{'&' if query else '?'}durability={durability.value}"

    def _client_data_threshold(self) -> int | None:
        if self.value_of("disable_client_data_store") or is_disabled(self.value_of("client_data_store_cls")):
            return None
        threshold: int | None = self._entry("client_data_threshold").value
        return threshold

    # --- checks ---

    def _check_scheduler(self) -> None:
        choice = self.value_of("scheduler")
        if choice != SETTINGS["scheduler"].default:
            from pynenc.scheduling.naming import check_name

            for name in choice.values() if isinstance(choice, dict) else (choice,):
                check_name(name)

    def _note_what_has_no_effect(self) -> None:
        """Say once in a process, at debug level, which settings have no effect and what stands in their place."""
        found: dict[str, str] = {}
        for layer in self._layers:
            found.update(layer.passed_over)
            for entries in (layer.general, *layer.sections.values()):
                found.update((name, instead) for name in entries if (instead := SETTINGS[name].retired) is not None)
        _note(found)


_DERIVED: dict[str, Callable[[AppConfig], Any]] = {
    "url": AppConfig._url,
    "client_data_threshold": AppConfig._client_data_threshold,
}


def _find(layer: Layer, name: str, runner_sections: tuple[str, ...]) -> Entry | None:
    for section in runner_sections:
        if name in layer.sections.get(section, {}):
            return layer.sections[section][name]
    for section, entries in layer.sections.items():
        if section not in RUNNER_SECTIONS and name in entries:
            return entries[name]
    return layer.general.get(name)


def _note(found: Mapping[str, str]) -> None:
    new = {name: instead for name, instead in found.items() if name not in _noted}
    if not new:
        return
    import logging

    _noted.update(new)
    for name, instead in new.items():
        logging.getLogger("pynenc.config").debug("the setting %s has no effect: %s", name, instead)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def is_writable(value: object) -> bool:
    """Whether a file or the environment could say it: a text, or texts under names."""
    if isinstance(value, Mapping):
        return all(isinstance(each, str) for each in value.values())
    return isinstance(value, str)
