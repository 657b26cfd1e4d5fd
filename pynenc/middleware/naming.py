"""From what people write for a middleware to the middleware: an instance, a class, or a name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pynenc.errors import ConfigurationError
from pynenc.middleware.base import Middleware

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pynenc.app import Pynenc
    from pynenc.middleware.registry import Hooks

GROUP = "pynenc.middleware"
"""Entry points of this group give middleware of other packages a name."""

SHIPPED = {
    "logging_context": "pynenc.middleware.logging_context:LoggingContext",
    "opentelemetry": "pynenc.integrations.opentelemetry:OpenTelemetry",
    "prometheus": "pynenc.integrations.prometheus:Prometheus",
}


Choices = Iterable[str | type[Middleware] | Middleware]


def hooks_of(app: Pynenc, *choices: Choices) -> Hooks:
    """Return the hooks of an app with what all `choices` are, make or name, in this order."""
    from pynenc.middleware.registry import Hooks

    hooks = Hooks()
    for each in choices:
        register(app, hooks, each)
    return hooks


def register(app: Pynenc, hooks: Hooks, choices: Choices) -> None:
    """Add to the hooks of an app what `choices` are, make or name.

    Raises:
        ConfigurationError: see `middleware_of`, or one is there already; nothing was added.
    """
    found = [middleware_of(each) for each in ((choices,) if isinstance(choices, str) else choices)]
    for place, each in enumerate(found):
        if each in hooks.all or each in found[:place]:
            raise ConfigurationError(f"{each!r} is registered already: its hooks would be called twice")
    hooks.add(*found)
    for each in found:
        each.attach(app)


def middleware_of(choice: str | type[Middleware] | Middleware) -> Middleware:
    """Return the middleware that `choice` is, makes or names.

    Args:
        choice: an instance; a class that needs no arguments; a name that Pynenc or an entry point declares; or
            `module:attribute`, where an instance or a class is.

    Raises:
        ConfigurationError: there is no such thing, or it is no middleware.
    """
    found: Any = _named(choice) if isinstance(choice, str) else choice
    if isinstance(found, type) and issubclass(found, Middleware):
        try:
            return found()
        except TypeError as error:
            raise ConfigurationError(
                f"middleware {choice!r} cannot be made without arguments ({error}); pass an instance"
            ) from error
    if isinstance(found, Middleware):
        return found
    raise ConfigurationError(f"{choice!r} is no middleware: derive its class from pynenc.middleware.Middleware")


def _named(name: str) -> Any:
    location = SHIPPED.get(name)
    if location is None and ":" in name:
        location = name
    if location is None:
        return _declared(name)
    module, _, attribute = location.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"middleware {name!r} cannot be imported: {error}") from error
    return found


def _declared(name: str) -> Any:
    for each in _entry_points():
        if each.name == name:
            try:
                return each.load()
            except Exception as error:
                raise ConfigurationError(f"middleware {name!r} ({each.value}) cannot be loaded: {error}") from error
    known = sorted({*SHIPPED, *(each.name for each in _entry_points())})
    raise ConfigurationError(
        f"no middleware is called {name!r}; there are {', '.join(known)}, and any of your own as module:Class"
    )


def _entry_points() -> Iterator[EntryPoint]:
    from importlib.metadata import entry_points

    yield from entry_points(group=GROUP)
