"""The one place that knows which store a URL means. Stores are imported when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlsplit

from pynenc.clock import system_clock_us
from pynenc.errors import ConfigurationError, NotYetAvailable
from pynenc.ports.backend import Backend, ClockUs
from pynenc.ports.client_data_store import ClientDataStore

_EMBEDDED = {"memory": "pynenc.backends.memory", "sqlite": "pynenc.backends.sqlite"}
_REDIS = ("redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_SERVERS = {
    **dict.fromkeys(_REDIS, "pynenc.backends.redis"),
    **dict.fromkeys(("postgresql", "postgres"), "pynenc.backends.postgresql"),
}
_COMING = ("mysql", "mariadb", "mongodb")


def open_backend(url: str, *, app_id: str = "pynenc", clock: ClockUs | None = None) -> Backend:
    """Return the store that `url` means. Nothing is opened before the first operation.

    Args:
        url: scheme, place and options of the store.
        app_id: what keeps several apps on one server apart.
        clock: where instants come from, instead of the store's own clock: for tests.

    Raises:
        ConfigurationError: the URL or one of its options is not understood, or the store's client library is missing.
        NotYetAvailable: the store is known, but not part of this release.
    """
    scheme = urlsplit(url).scheme
    if scheme in _COMING:
        raise NotYetAvailable(f"the store {scheme}://", "use one of " + _named(_EMBEDDED, ("redis", "postgresql")))
    base, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if scheme in _SERVERS:
        opener: Callable[..., Backend] = importlib.import_module(_SERVERS[scheme]).open_backend
        return opener(base, clock=clock, options=options, app_id=app_id)
    module = _EMBEDDED.get(scheme)
    if module is None:
        raise ConfigurationError(
            f"{scheme + '://' if scheme else repr(url)} is no store that Pynenc knows; "
            f"use one of {_named(_EMBEDDED, _SERVERS)}"
        )
    embedded: Callable[..., Backend] = importlib.import_module(module).open_backend
    return embedded(base, clock=clock or system_clock_us, options=options)


def open_data_store(url: str, *, app_id: str, backend: Backend) -> ClientDataStore:
    """Return the client data store that `url` means, for the references that `backend` keeps.

    Raises:
        ConfigurationError: the URL or one of its options is not understood.
    """
    from pynenc.data_stores.opening import open_data_store as opened

    durable = backend.capabilities.durability != "none"
    return opened(url, app_id=app_id, owner=identity_of(backend), durable=durable)


def identity_of(backend: Backend) -> str:
    """Return what tells a store of invocations from all others that may keep values in the same place."""
    if urlsplit(backend.url).scheme not in _EMBEDDED:
        return backend.url
    import socket

    # The same path on another machine is another file.
    return f"{backend.url} on {socket.gethostname()}"


def stores_with_gates() -> list[str]:
    """Return the schemes of the stores that keep limits, as far as their client libraries are installed."""
    found = []
    places = {"memory": "", "sqlite": "/:memory:", "redis": "localhost", "postgresql": "localhost/x"}
    for scheme, place in places.items():
        try:
            backend = open_backend(f"{scheme}://{place}")
        except ConfigurationError:
            continue
        if backend.capabilities.gates:
            found.append(scheme)
        backend.close()
    return found


def _named(*schemes: Iterable[str]) -> str:
    return ", ".join(f"{name}://" for each in schemes for name in each)
