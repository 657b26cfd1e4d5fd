"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import timedelta

_BEGIN_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


class FakeClock:
    """Returns microseconds since the Unix epoch, like the clocks of stores."""

    def __init__(self, start_us: int = _BEGIN_US) -> None:
        self._now_us = start_us

    def __call__(self) -> int:
        return self._now_us

    def advance(self, duration: timedelta | float) -> None:
        """Move on by a timedelta or by seconds; negative steps set it back."""
        step = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        self._now_us += step // timedelta(microseconds=1)

    def set(self, now_us: int) -> None:
        """Move to an instant in microseconds since the Unix epoch."""
        self._now_us = now_us
