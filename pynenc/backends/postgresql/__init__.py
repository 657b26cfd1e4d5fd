"""The store in a PostgreSQL database, for processes of many machines."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pynenc.errors import ConfigurationError
from pynenc.ports.backend import ClockUs

if TYPE_CHECKING:
    from pynenc.backends.postgresql.backend import PostgresqlBackend

__all__ = ["open_backend"]


def open_backend(
    url: str, *, clock: ClockUs | None = None, options: Mapping[str, str], app_id: str = "pynenc"
) -> PostgresqlBackend:
    """Return the store that `url` names. Nothing is opened before the first operation.

    Args:
        url: `postgresql://[user:password@]host[:port]/database`.
        clock: where instants come from instead of the server's clock: for tests.
        options: see `pynenc.backends.postgresql.location`, and everything that libpq knows.
        app_id: gives the schema its name, unless the option `schema` says another.

    Raises:
        ConfigurationError: the URL or an option is not understood, or the client library is missing.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError("postgresql:// needs psycopg: pip install 'pynenc[postgresql]'")
    from pynenc.backends.postgresql.backend import PostgresqlBackend
    from pynenc.backends.postgresql.location import parse_location

    return PostgresqlBackend(parse_location(url, options, app_id), clock=clock)
