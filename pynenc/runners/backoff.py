"""Pauses between attempts at something that fails, and saying so once instead of a thousand times."""

from __future__ import annotations

import logging
from random import Random


class Backoff:
    """Exponential pauses with jitter: between half of and the whole of `first_s * 2 ** failures`, capped."""

    def __init__(self, *, first_s: float, most_s: float, rng: Random) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._rng = rng
        self._failures = 0

    def next_s(self) -> float:
        """Return how long to pause now; each call without `reset` about doubles it."""
        bound_s = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return self._rng.uniform(bound_s / 2, bound_s)

    def reset(self) -> None:
        """Note that it worked."""
        self._failures = 0


class Grievances:
    """Logs each kind of failure once until it is over."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: set[str] = set()

    def say(self, kind: str, level: int, message: str, *args: object) -> None:
        """Log `message` unless this kind was logged since the last `over`."""
        if kind not in self._said:
            self._said.add(kind)
            self._logger.log(level, message, *args)

    def over(self, message: str) -> None:
        """Note that it works again; logs `message` if anything was wrong."""
        if self._said:
            self._said.clear()
            self._logger.info(message)
