"""`app.pause(...)` and `app.resume(...)`: queues that give no new work for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pynenc.io import run

if TYPE_CHECKING:
    from pynenc.app import Pynenc


class Pausing:
    """What an app can do to its queues."""

    def pause(self, queue: str = "default", *, by: str | None = None, reason: str = "") -> None:
        """Stop new work of a queue; what runs goes on. Of a queue that is paused nothing changes.

        Args:
            by: who wants that, for `why` and `pynenc queues`; by default the user and the machine.
            reason: what for.
        """
        from pynenc.core.operator import operator

        control = cast("Pynenc", self).control
        run(control.pause(queue, by=operator() if by is None else by, reason=reason))

    def resume(self, queue: str = "default") -> None:
        """Undo `pause`."""
        run(cast("Pynenc", self).control.resume(queue))
