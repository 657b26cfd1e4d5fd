"""SIGTERM in a worker process.

A service manager may send it to every process of a service at once (systemd does by default, `KillMode=control-group`).
The runner then drains, and its workers have to go on until it is done; so a worker leaves SIGTERM to the runner. It
follows it only after the runner has asked it to stop a body: then SIGTERM is how the runner insists.
"""

from __future__ import annotations

import os
import signal


class StopOrders:
    """Takes SIGTERM over; to be made in the main thread."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.expected = False
        """Whether the runner has asked for something to stop here."""
        signal.signal(signal.SIGTERM, self._heard)

    def _heard(self, *_: object) -> None:
        # A process that a body forked is on its own.
        if self.expected or os.getpid() != self._pid:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
