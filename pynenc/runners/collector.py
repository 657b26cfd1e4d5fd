"""Removing large values that nothing names any more, beside whatever else a runner does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from random import Random

from pynenc.errors import PynencError
from pynenc.runners.backoff import Grievances

logger = logging.getLogger(__name__)

EVERY_S = 3_600.0
_FIRST_S = 300.0


class DataCollector:
    """Looks every hour. Several runners may do so at the same time, they only look once more than needed.

    Args:
        collect: removes what can go, and returns how much that was.
    """

    def __init__(self, collect: Callable[[], int], *, rng: Random | None = None) -> None:
        self._collect = collect
        self._rng = rng or Random()
        self._grievances = Grievances(logger)
        self._stop = threading.Event()

    def start(self) -> None:
        """Look from time to time in a thread of its own, until `stop`."""
        threading.Thread(target=self.run, args=(self._stop,), name="pynenc-collector", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def run(self, stop: threading.Event) -> None:
        # Runners that were started together do not look together.
        pause_s = self._rng.uniform(_FIRST_S / 2, _FIRST_S)
        while not stop.wait(pause_s):
            self.run_once()
            pause_s = self._rng.uniform(EVERY_S / 2, EVERY_S)

    def run_once(self) -> int:
        """Look now; return how many values went. What fails is logged and tried again the next time."""
        try:
            went = self._collect()
        except PynencError as error:
            self._grievances.say(type(error).__name__, logging.WARNING, "client data is not collected: %s", error)
            return 0
        except Exception:  # a service outlives whatever a store of somebody else raises
            logger.exception("client data is not collected")
            return 0
        self._grievances.over("client data is collected again")
        if went:
            logger.info("removed %d values that nothing names any more from the client data store", went)
        return went
