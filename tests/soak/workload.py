"""What the soak has its runners do, and how each of it must end."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from pynenc.errors import InvocationCancelled, TaskMemoryExceeded, TaskTimeout
from pynenc.invocation import BaseInvocation
from tests.soak import soak_app as tasks

Invocation = BaseInvocation[..., Any]


class Kind(Struct, frozen=True):
    """A kind of work."""

    weight: int
    submit: Callable[[int], Invocation]
    value: Callable[[int], int] = lambda number: number
    """What it returns, if it does."""
    error: type[Exception] | None = None
    """What it ends in, if it must not return."""


class Submitted(Struct, frozen=True):
    """A piece of work that somebody waits for."""

    kind: str
    number: int
    invocation: Invocation


KINDS: dict[str, Kind] = {
    "leaf": Kind(30, lambda number: tasks.leaf(number)),
    "slow": Kind(6, lambda number: tasks.slow(number)),
    "gentle": Kind(20, lambda number: tasks.gentle(number)),
    "tree": Kind(12, lambda number: tasks.tree(number), lambda number: 3 * number),
    "gentle tree": Kind(8, lambda number: tasks.gentle_tree(number), lambda number: 3 * number),
    "chain": Kind(4, lambda number: tasks.chain(number)),
    "flaky": Kind(8, lambda number: tasks.flaky(number)),
    "noted": Kind(4, lambda number: tasks.noted(number)),
    "late": Kind(6, lambda number: tasks.leaf.options(delay=0.5)(number)),
    "after": Kind(6, lambda number: tasks.leaf.after(tasks.gentle(number))(number)),
    "dies": Kind(2, lambda number: tasks.dies(number)),
    "hangs": Kind(2, lambda number: tasks.hangs(number), error=TaskTimeout),
    "hogs": Kind(2, lambda number: tasks.hogs(number), error=TaskMemoryExceeded),
    "leaks": Kind(6, lambda number: tasks.leaks(number)),
    "cancelled": Kind(4, lambda number: tasks.endless(number), error=InvocationCancelled),
}


def submit(rng: random.Random, number: int) -> Submitted:
    """Submit one piece of work of some kind."""
    name = rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()])[0]
    return Submitted(name, number, KINDS[name].submit(number))


def wrong_end(work: Submitted, timeout_s: float) -> str | None:
    """Wait for the end of a piece of work; return what is wrong with it, or None."""
    kind = KINDS[work.kind]
    try:
        value = work.invocation.get(timeout=timeout_s)
    except Exception as error:  # noqa: BLE001 - whatever it ends in is compared with what it must end in
        if kind.error is not None and isinstance(error, kind.error):
            return None
        return f"{work.kind} {work.invocation.invocation_id} ended in {type(error).__name__}: {str(error)[:300]}"
    if kind.error is not None:
        return f"{work.kind} {work.invocation.invocation_id} returned {value!r}, it must end in {kind.error.__name__}"
    expected = kind.value(work.number)
    return None if value == expected else f"{work.kind} returned {value!r} instead of {expected!r}"
