"""From what people write for a scheduler to the scheduler."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pynenc.errors import ConfigurationError
from pynenc.ports.scheduler import Rank, RankContext, Scheduler

RankFunction: TypeAlias = Callable[[RankContext], Rank]
OneScheduler: TypeAlias = str | type[Scheduler] | Scheduler | RankFunction
SchedulerChoice: TypeAlias = OneScheduler | Mapping[str, OneScheduler]
"""A name, `module:attribute`, a class, an instance, a function, or such a one for each queue."""

SHIPPED = {
    "fifo": "fifo:FifoScheduler",
    "lifo": "lifo:LifoScheduler",
    "priority": "priority:PriorityScheduler",
    "ageing": "priority:ageing_scheduler",
    "deadline": "deadline:DeadlineScheduler",
    "shortest": "shortest:ShortestScheduler",
    "dependency": "dependency:DependencyScheduler",
    "fair": "fair:FairScheduler",
}


class FunctionScheduler(Scheduler):
    """A function from a context to a rank."""

    def __init__(self, function: RankFunction) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        self._function = function

    def rank(self, context: RankContext) -> Rank:
        return self._function(context)


def scheduler_of(choice: SchedulerChoice) -> Scheduler:
    """Return the scheduler that `choice` is, makes or names.

    Raises:
        ConfigurationError: there is no such scheduler.
    """
    if isinstance(choice, Mapping):
        from pynenc.scheduling.by_queue import QueueSchedulers

        return QueueSchedulers({queue: _one(each) for queue, each in choice.items()})
    return _one(choice)


def check_name(name: str) -> None:
    """Check the name of a scheduler; what would import code of the user is checked when it is used.

    Raises:
        ConfigurationError: no scheduler has this name.
    """
    if ":" not in name:
        _shipped(name)


def _one(choice: OneScheduler) -> Scheduler:
    found: Any = choice
    if isinstance(choice, str):
        found = _imported(choice) if ":" in choice else _shipped(choice)
    if isinstance(found, type):
        try:
            found = found()
        except TypeError as error:
            raise ConfigurationError(
                f"scheduler {choice!r} cannot be made without arguments ({error}); pass an instance"
            ) from error
    if Scheduler in type(found).__mro__:
        scheduler: Scheduler = found
        return scheduler
    if inspect.isroutine(found):
        return FunctionScheduler(found)
    raise ConfigurationError(
        f"{choice!r} is no scheduler: derive its class from pynenc.scheduling.Scheduler, or pass a function that "
        "takes a RankContext and returns a Rank"
    )


def _shipped(name: str) -> Scheduler:
    key = name.lower()
    if key not in SHIPPED:
        raise ConfigurationError(
            f"{name!r} is no scheduler; there are {', '.join(SHIPPED)}, and any of your own as module:Class"
        )
    module, _, attribute = SHIPPED[key].partition(":")
    made: Scheduler = getattr(importlib.import_module(f"pynenc.scheduling.{module}"), attribute)()
    return made


def _imported(location: str) -> Any:
    module, _, attribute = location.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"scheduler {location!r} cannot be imported: {error}") from error
    return found
