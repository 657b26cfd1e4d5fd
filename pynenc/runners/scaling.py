"""How many worker processes there should be, by load. Pure: times come from the caller.

Grows by half when bodies have waited for a slot without a break for `grow_after_s`, and gives those that were added the
same time to come up and show what they are good for. Shrinks by the workers that had nothing to do at any moment of the
last `shrink_after_s`. A load that comes and goes faster than that changes nothing: what it needs at its peak stays.
"""

from __future__ import annotations

from msgspec import Struct


class Load(Struct, frozen=True):
    """What a moment looks like."""

    pressed: bool
    """Bodies wait for a slot, and every worker that was wanted is up."""
    idle: int
    """How many workers have nothing to do."""


class Scaling:
    """Between `least` and `most` workers.

    Args:
        least: workers that are always there.
        most: workers at the most.
        grow_after_s: how long bodies have to wait for a slot before there are more.
        shrink_after_s: how long a worker has to be of no use before there are less.
    """

    def __init__(self, least: int, most: int, *, grow_after_s: float = 0.1, shrink_after_s: float = 4.0) -> None:
        self.least = least
        self.most = most
        self.size = least
        """How many there should be."""
        self._grow_after_s = grow_after_s
        self._shrink_after_s = shrink_after_s
        self._pressed_since_s: float | None = None
        self._idle_since_s: float | None = None
        self._idle = 0
        """The least that were idle at once since then."""

    @property
    def room(self) -> int:
        """How many workers may be added at the next step of growth."""
        return min(self.most, self._next_size()) - self.size

    def look(self, now_s: float, load: Load) -> None:
        """Take the load of this moment into account; `size` may change."""
        if load.pressed:
            self._idle_since_s = None
            self._look_up(now_s)
        else:
            self._pressed_since_s = None
            self._look_down(now_s, load.idle)

    def due_at_s(self) -> float | None:
        """Return when the size changes if the load stays as it is; None if it does not."""
        if self._pressed_since_s is not None and self.size < self.most:
            return self._pressed_since_s + self._grow_after_s
        if self._idle_since_s is not None and self.size > self.least:
            return self._idle_since_s + self._shrink_after_s
        return None

    def _look_up(self, now_s: float) -> None:
        if self._pressed_since_s is None:
            self._pressed_since_s = now_s
        elif now_s - self._pressed_since_s >= self._grow_after_s:
            self.size += self.room
            self._pressed_since_s = now_s

    def _look_down(self, now_s: float, idle: int) -> None:
        if idle <= 0:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s, self._idle = now_s, idle
        else:
            self._idle = min(self._idle, idle)
            if now_s - self._idle_since_s >= self._shrink_after_s:
                self.size = max(self.least, self.size - self._idle)
                self._idle_since_s = None

    def _next_size(self) -> int:
        return self.size + max(1, self.size // 2)
