"""The one place that knows which store a URL means. Stores are imported when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from pynenc.clock import system_clock_us
from pynenc.errors import ConfigurationError, NotYetAvailable
from pynenc.ports.backend import Backend, ClockUs
from pynenc.ports.scheduler import Scheduler

_STORES = {"memory": "pynenc.backends.memory", "sqlite": "pynenc.backends.sqlite"}
_COMING = ("redis", "rediss", "postgresql", "postgres", "mysql", "mariadb", "mongodb")
_SCHEDULERS = {"fifo": "pynenc.scheduling.fifo:FifoScheduler"}
_COMING_SCHEDULERS = ("lifo", "priority", "deadline", "shortest", "dependency", "fair")


def open_backend(url: str, *, clock: ClockUs = system_clock_us) -> Backend:
    """Return the store that `url` means. Nothing is opened before the first operation.

    Raises:
        ConfigurationError: the URL or one of its options is not understood.
        NotYetAvailable: the store is known, but not part of this release.
    """
    scheme = urlsplit(url).scheme
    if scheme in _COMING:
        raise NotYetAvailable(f"the store {scheme}://", "use sqlite:///path or memory://")
    module = _STORES.get(scheme)
    if module is None:
        raise ConfigurationError(
            f"{scheme + '://' if scheme else repr(url)} is no store that Pynenc knows; "
            f"use one of {', '.join(name + '://' for name in _STORES)}"
        )
    opener: Callable[..., Backend] = importlib.import_module(module).open_backend
    base, _, query = url.partition("?")
    return opener(base, clock=clock, options=dict(parse_qsl(query, keep_blank_values=True)))


def scheduler_of(choice: str | type[Scheduler] | Scheduler) -> Scheduler:
    """Return a scheduler from its name, its class or itself.

    Raises:
        ConfigurationError: no scheduler has this name.
        NotYetAvailable: the scheduler is known, but not part of this release.
    """
    if isinstance(choice, type):
        return choice()
    if not isinstance(choice, str):
        return choice
    name = choice.lower()
    if name in _COMING_SCHEDULERS:
        raise NotYetAvailable(f"the scheduler {choice!r}", "this release orders first in, first out")
    location = _SCHEDULERS.get(name)
    if location is None:
        raise ConfigurationError(f"{choice!r} is no scheduler; this release has {', '.join(_SCHEDULERS)}")
    module, _, attribute = location.partition(":")
    scheduler: Scheduler = getattr(importlib.import_module(module), attribute)()
    return scheduler
