"""The store on Redis and Valkey servers, for processes of many machines."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pynenc.errors import ConfigurationError
from pynenc.ports.backend import ClockUs

if TYPE_CHECKING:
    from pynenc.backends.redis.backend import RedisBackend

__all__ = ["open_backend"]


def open_backend(
    url: str, *, clock: ClockUs | None = None, options: Mapping[str, str], app_id: str = "pynenc"
) -> RedisBackend:
    """Return the store that `url` names. Nothing is opened before the first operation.

    Args:
        url: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `redis+unix:///path`,
            `redis+sentinel://host,host/master`, `redis+cluster://host,host`.
        clock: where instants come from instead of the server's clock: for tests.
        options: see `pynenc.backends.redis.location`.
        app_id: the namespace of every key, unless the option `namespace` says another.

    Raises:
        ConfigurationError: the URL or an option is not understood, or the client library is missing.
    """
    missing = [name for name in ("redis", "msgpack") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(f"redis:// needs {' and '.join(missing)}: pip install 'pynenc[redis]'")
    from pynenc.backends.redis.backend import RedisBackend
    from pynenc.backends.redis.location import parse_location

    return RedisBackend(parse_location(url, options, app_id), clock=clock)
