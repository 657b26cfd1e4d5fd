"""A call: a task and the arguments it is to run with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from inspect import Signature

    from pynenc.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class Arguments:
    """Arguments of a call: `args` and `kwargs` as passed on, and by parameter name.

    Attributes:
        args: positional arguments.
        kwargs: every argument by the name of its parameter, defaults included, as the body sees them.
    """

    __slots__ = ("_keywords", "_signature", "args")

    def __init__(self, signature: Signature, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._signature = signature
        self.args = args
        self._keywords = keywords

    @property
    def keywords(self) -> dict[str, Any]:
        """Arguments that are passed by keyword."""
        return self._keywords

    @property
    def kwargs(self) -> dict[str, Any]:
        bound = self._signature.bind(*self.args, **self._keywords)
        bound.apply_defaults()
        return dict(bound.arguments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arguments) and self.kwargs == other.kwargs

    __hash__ = None  # type: ignore[assignment]  # arguments may be unhashable

    def __repr__(self) -> str:
        parts = [repr(value) for value in self.args]
        parts += [f"{name}={value!r}" for name, value in self._keywords.items()]
        return f"({', '.join(parts)})"


class Call(Generic[P, R]):
    """A task with arguments bound, not submitted yet."""

    __slots__ = ("arguments", "task")

    def __init__(self, task: Task[P, R], arguments: Arguments) -> None:
        self.task = task
        self.arguments = arguments

    def __repr__(self) -> str:
        return f"{self.task.task_id}{self.arguments!r}"


class Link:
    """A task that goes on with the result of another one, and the arguments behind that result."""

    __slots__ = ("args", "kwargs", "task")

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"{self.task.task_id}(<result>, …)"


class Binder:
    """Checks arguments against the signature of a function, cheaply where the signature is plain."""

    __slots__ = ("_function", "_plain_arity", "_signature")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._signature: Signature | None = None
        self._plain_arity = _plain_arity(function)

    @property
    def signature(self) -> Signature:
        """The signature of the function; computed when first asked for."""
        if self._signature is None:
            import inspect

            self._signature = inspect.signature(self._function)
        return self._signature

    def check(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Raise the TypeError that calling the function with these arguments would raise."""
        if not keywords and len(args) == self._plain_arity:
            return
        self.signature.bind(*args, **keywords)

    def bind(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Arguments:
        """Return checked arguments."""
        self.check(args, keywords)
        return Arguments(self.signature, args, keywords)

    def changed(
        self, args: tuple[Any, ...], keywords: dict[str, Any], changes: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with some replaced, by name.

        Raises:
            TypeError: the function has no such parameter.
        """
        bound = self.signature.bind(*args, **keywords)
        others = next((each.name for each in self.signature.parameters.values() if each.kind == each.VAR_KEYWORD), None)
        for name, value in changes.items():
            if name in self.signature.parameters:
                bound.arguments[name] = value
            elif others is None:
                raise TypeError(f"{self._function.__qualname__}() has no parameter {name!r}")
            else:
                bound.arguments.setdefault(others, {})[name] = value
        return bound.args, bound.kwargs

    def by_name(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """Return checked arguments by the names of their parameters, defaults included."""
        if not keywords and len(args) == self._plain_arity:
            return dict(zip(self.signature.parameters, args, strict=True))
        return Arguments(self.signature, args, keywords).kwargs

    def positional_names(self) -> tuple[str, ...]:
        """Return the names of the parameters, in order."""
        return tuple(self.signature.parameters)


def _plain_arity(function: Callable[..., Any]) -> int:
    """Return how many positional arguments satisfy the function exactly, -1 if that is not so simple."""
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or code.co_kwonlyargcount:
        return -1
    takes_more = code.co_flags & 0x0C  # *args, **kwargs
    return -1 if takes_more else int(code.co_argcount)
