"""Which classes stored bytes may construct: what the tasks of an app speak of, and nothing else."""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

from pynenc import errors
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.names import name_of


class KnownTypes(TypeRegistry):
    """Classes by name. Annotations and modules are looked at when a name is first not found."""

    def __init__(self) -> None:
        self._known: dict[str, type] = {}
        self._functions: list[Callable[..., Any]] = []
        self._modules: set[str] = set()
        self._lock = threading.Lock()

    def register(self, *classes: type) -> None:
        """Let stored bytes construct these classes."""
        for cls in classes:
            self._known[name_of(cls)] = cls

    def learn_annotations(self, function: Callable[..., Any]) -> None:
        """Let stored bytes construct what the annotations of `function` mention, down to fields of fields."""
        self._functions.append(function)

    def learn_module(self, module: str) -> None:
        """Let stored bytes construct the classes that a module defines at its top level."""
        self._modules.add(module)

    def resolve(self, name: str) -> type | None:
        found = self._known.get(name)
        if found is None:
            found = _of_python(name)
        if found is None:
            self._catch_up()
            found = self._known.get(name)
        return found

    def _catch_up(self) -> None:
        with self._lock:
            functions, self._functions = self._functions, []
            for function in functions:
                for cls in _mentioned(function):
                    self._known.setdefault(name_of(cls), cls)
            for module in list(self._modules):
                for cls in _defined_in(module):
                    self._known.setdefault(name_of(cls), cls)


def _of_python(name: str) -> type | None:
    """Return a built-in exception or an error of this package."""
    module, _, attribute = name.partition(":")
    home = {"builtins": builtins, "pynenc.errors": errors}.get(module)
    found = getattr(home, attribute, None) if home is not None else None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _defined_in(module_name: str) -> Iterator[type]:
    module = sys.modules.get(module_name)
    for value in list(vars(module).values()) if module else ():
        if isinstance(value, type):
            # Imported classes count as well: a module that imports a class to use it in a task knows it.
            yield value


def _mentioned(function: Callable[..., Any]) -> Iterator[type]:
    seen: set[Any] = set()
    frontier = list(_hints(function).values())
    while frontier:
        hint = frontier.pop()
        try:
            if hint in seen:
                continue
            seen.add(hint)
        except TypeError:
            continue
        frontier.extend(get_args(hint))
        if isinstance(hint, type) and hint.__module__ not in ("builtins", "typing"):
            yield hint
            frontier.extend(_hints(hint).values())


def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of)
    except Exception:  # noqa: BLE001 - annotations are user code: names that are gone, expressions that raise
        return {name: hint for name, hint in getattr(of, "__annotations__", {}).items() if not isinstance(hint, str)}
