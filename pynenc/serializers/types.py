"""Which classes stored bytes may construct: what the tasks of an app speak of, and nothing else."""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable, Iterator
from enum import Enum
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
        with self._lock:
            self._functions.append(function)

    def learn_module(self, module: str) -> None:
        """Let stored bytes construct the classes a module has at its top level, its own and imported ones."""
        self._modules.add(module)

    def resolve(self, name: str) -> type | None:
        found = self._known.get(name) or _of_python(name)
        if found is None:
            self._catch_up()
            found = self._known.get(name)
        return found

    def _catch_up(self) -> None:
        with self._lock:
            self._functions = [function for function in self._functions if not self._learn_function(function)]
            for module in list(self._modules):
                for cls in _classes_of(sys.modules.get(module)):
                    self._known.setdefault(name_of(cls), cls)

    def _learn_function(self, function: Callable[..., Any]) -> bool:
        """Learn what can be had now; return whether that was all (a forward reference may lead nowhere yet)."""
        mentioned = _Mentioned(function)
        for cls in mentioned.classes:
            self._known.setdefault(name_of(cls), cls)
        return mentioned.complete


def _of_python(name: str) -> type | None:
    """Return an exception of this package, or an exception, enum or named tuple of Python that is loaded."""
    module, _, path = name.partition(":")
    if module == "pynenc.errors":
        found: Any = getattr(errors, path, None)
    elif module.partition(".")[0] in sys.stdlib_module_names or module == "builtins":
        # Not getattr: modules may import others when they are asked for a name. None: the module was barred.
        found = vars(sys.modules.get(module) or builtins).get(path)
    else:
        return None
    if not isinstance(found, type) or name_of(found) != name:
        return None
    return found if issubclass(found, BaseException | Enum) or hasattr(found, "_fields") else None


def _classes_of(owner: Any) -> Iterator[type]:
    """Yield the classes of a module, and those defined inside them."""
    for value in list(vars(owner).values()) if owner is not None else ():
        if isinstance(value, type):
            yield value
            yield from _nested(value)


def _nested(cls: type) -> Iterator[type]:
    for value in list(vars(cls).values()):
        if isinstance(value, type) and value.__qualname__ == f"{cls.__qualname__}.{value.__name__}":
            yield value
            yield from _nested(value)


class _Mentioned:
    """The classes that annotations of a function mention, with those their fields mention.

    Attributes:
        complete: whether every annotation could be resolved.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.classes: list[type] = []
        self.complete = True
        self._seen: set[Any] = set()
        self._frontier = self._hints(function)
        while self._frontier:
            self._look_at(self._frontier.pop())

    def _look_at(self, hint: Any) -> None:
        try:
            if hint in self._seen:
                return
            self._seen.add(hint)
        except TypeError:
            # Such as Literal[...] of something unhashable: mentions no class.
            return
        self._frontier.extend(get_args(hint))
        origin = getattr(hint, "__origin__", None)
        if origin is not None:
            self._frontier.append(origin)
        if isinstance(hint, type) and hint.__module__ not in ("builtins", "typing"):
            self.classes.append(hint)
            self._frontier.extend(self._hints(hint))

    def _hints(self, of: Any) -> list[Any]:
        try:
            return list(get_type_hints(of).values())
        except Exception:  # noqa: BLE001 - annotations are user code: names that are gone, expressions that raise
            self.complete = False
            own = getattr(of, "__annotations__", {})
            return [hint for hint in own.values() if not isinstance(hint, str)]
