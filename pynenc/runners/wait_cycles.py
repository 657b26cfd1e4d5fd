"""Cycles among the runs of one runner that the store cannot see: coroutines in them await without suspending."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pynenc.model.ids import InvocationId

WaitsOf = Callable[[InvocationId], Iterable[InvocationId]]
"""Returns what an invocation waits for, as far as this runner knows."""


def find_cycle(waiter: InvocationId, waits: Iterable[InvocationId], waits_of: WaitsOf) -> tuple[InvocationId, ...]:
    """Return the cycle that waiting closes, from `waiter` back to itself; () if there is none here."""
    came_from: dict[InvocationId, InvocationId] = {}
    frontier = [(each, waiter) for each in waits]
    while frontier:
        reached, before = frontier.pop()
        if reached == waiter:
            return (*_path_back(came_from, before, waiter), waiter)
        if reached not in came_from:
            came_from[reached] = before
            frontier.extend((each, reached) for each in waits_of(reached))
    return ()


def _path_back(
    came_from: dict[InvocationId, InvocationId], last: InvocationId, first: InvocationId
) -> list[InvocationId]:
    path = [last]
    while path[-1] != first:
        path.append(came_from[path[-1]])
    return path[::-1]
