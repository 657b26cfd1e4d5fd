"""What a runner was told to do, and how its control loop sleeps until it is told something."""

from __future__ import annotations

from pynenc.io import Op
from pynenc.ports.doorbell import Doorbell
from pynenc.runners.waiting import Wait


class Steering:
    """Orders from any thread or signal handler; the control loop sees them when it wakes.

    Args:
        doorbell: rung by the store and by every order. Not closed.
    """

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self.drain_grace_s: float | None = None
        """How long bodies may go on; None: nobody asked the runner to end."""
        self.killed = False

    @property
    def accepting(self) -> bool:
        """Whether the runner may claim new work."""
        return self.drain_grace_s is None and not self.killed

    def drain(self, grace_s: float) -> None:
        """Order to claim nothing more, hand back what has not started, give bodies `grace_s` to end, then end."""
        self.drain_grace_s = grace_s
        self._doorbell.ring()

    def kill(self) -> None:
        """Order to end now."""
        self.killed = True
        self._doorbell.ring()

    def sleep(self, descriptors: tuple[int, ...], timeout_s: float) -> Op[bool]:
        """Sleep until one of `descriptors` is readable, the doorbell rings or time is up; return whether it rang."""
        bell = self._doorbell.fileno()
        readable = yield Wait((bell, *descriptors), max(0.0, timeout_s))
        if bell not in readable:
            return False
        self._doorbell.clear()
        return True

    def line_was_cut(self) -> bool:
        """Whether the line to the store broke since this was asked last: what it was to tell may be lost."""
        return self._doorbell.was_cut()
