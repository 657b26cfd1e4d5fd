"""Trying again while a store of large values does not answer, for as long as a run may take its time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from random import Random
from typing import TypeVar

from pynenc.errors import StoreCorrupted
from pynenc.io import Op

T = TypeVar("T")
logger = logging.getLogger(__name__)

_FIRST_S, _MOST_S = 0.1, 2.0
"""Bounds of a pause; it is short enough for an interruption of the body's thread to wait for its end."""


class OutOfReach(Exception):
    """What a body needs before it begins is kept where nothing answers."""


class Pause:
    """A request to do nothing for a while."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def send(self) -> None:
        time.sleep(self._seconds)

    async def asend(self) -> None:
        import asyncio

        await asyncio.sleep(self._seconds)


def patiently(
    attempt: Callable[[], Op[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    for_s: float,
    stopping: Callable[[], bool],
    what: str,
    clock: Callable[[], float] = time.monotonic,
    rng: Random | None = None,
) -> Op[T]:
    """Perform what `attempt` returns, again and again while the store fails; return what comes of it.

    Args:
        on: what waiting may mend, but for `StoreCorrupted`.
        for_s: how long to go on; the last error is raised then.
        stopping: whether the run is to end, so that there is nothing to wait for.
        what: is being done, for the log.

    Raises:
        Exception: it still fails, or fails in a way that waiting does not mend.
    """
    until_s, bound_s, said = clock() + for_s, _FIRST_S, False
    while True:
        try:
            result = yield from attempt()
        except StoreCorrupted:
            raise
        except on as error:
            pause_s = (rng or Random()).uniform(bound_s / 2, bound_s)
            if stopping() or clock() + pause_s > until_s:
                raise
            if not said:
                logger.warning("%s fails, and is tried again for up to %g s: %s", what, for_s, error)
                said = True
            yield Pause(pause_s)
            bound_s = min(_MOST_S, bound_s * 2)
        else:
            if said:
                logger.info("%s works again", what)
            return result
