"""The default store: one SQLite file, shared by every process of one machine."""

from __future__ import annotations

from collections.abc import Mapping

from pynenc.backends.sqlite.backend import SqliteBackend
from pynenc.backends.sqlite.location import parse_location
from pynenc.clock import system_clock_us
from pynenc.ports.backend import ClockUs

__all__ = ["SqliteBackend", "open_backend"]


def open_backend(url: str, *, clock: ClockUs = system_clock_us, options: Mapping[str, str]) -> SqliteBackend:
    """Return the store in the file that `url` names. Nothing is opened or created before the first operation.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`.
        options: `durability` (none, normal, full) and `busy_timeout_s`.

    Raises:
        ConfigurationError: the URL has another form, an option is unknown or ill-typed, or SQLite is too old.
    """
    return SqliteBackend(parse_location(url, options), clock=clock)
