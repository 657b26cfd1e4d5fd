"""Cycles of invocations that wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pynenc.model.ids import InvocationId

WaitersOf = Callable[[InvocationId], Iterable[InvocationId]]
"""Returns who waits for an invocation, ordered by id, so that every store names the same cycle."""


def cycle_closed_by(
    waiter: InvocationId, waited: Iterable[InvocationId], waiters_of: WaitersOf
) -> tuple[InvocationId, ...]:
    """Return the cycle that `waiter` would close by waiting for `waited`, back to itself; () if there is none.

    Walks from the waiter over those that wait for it, and theirs: usually the short chain of its parents,
    however many it would wait for.
    """
    wanted = set(waited)
    if waiter in wanted:
        return (waiter, waiter)
    towards: dict[InvocationId, InvocationId] = {}
    seen, frontier = {waiter}, [waiter]
    for reached in frontier:
        for upstream in waiters_of(reached):
            if upstream in seen:
                continue
            seen.add(upstream)
            towards[upstream] = reached
            if upstream in wanted:
                return (waiter, *_path(towards, upstream, waiter))
            frontier.append(upstream)
    return ()


def _path(towards: dict[InvocationId, InvocationId], start: InvocationId, goal: InvocationId) -> list[InvocationId]:
    path = [start]
    while path[-1] != goal:
        path.append(towards[path[-1]])
    return path
