"""Telling the world outside how a runner is: endpoints, systemd, and a file whose age a probe looks at.

The teller is a thread of its own that asks for the health of the runner now and then. While the runner is not alive it
tells nothing, so that the watchdog bites and the file grows old. The same happens by itself when the process stands.
"""

from __future__ import annotations

import logging
import threading
from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pynenc.errors import ConfigurationError
from pynenc.runners.backoff import Grievances
from pynenc.runners.notify import Notifier
from pynenc.runners.pulse import Health

if TYPE_CHECKING:
    from pynenc.config.app_config import AppConfig
    from pynenc.runners.health_server import Render

logger = logging.getLogger(__name__)

_STARTING_S = 0.05
_LONGEST_S = 1.0


@contextmanager
def telling(conf: AppConfig, health: Callable[[], Health], pages: MutableMapping[str, Render]) -> Iterator[None]:
    """Tell how a runner is while it runs, in the ways that its configuration and its environment ask for.

    Raises:
        ConfigurationError: the port or the file cannot be used.
    """
    with ExitStack() as stack:
        if conf.health_port is not None:
            stack.callback(_serve(conf, health, pages))
        notifier = Notifier()
        file = Path(conf.alive_file) if conf.alive_file else None
        if notifier.wanted or file is not None:
            stack.callback(Teller(health, notifier, file).start())
        yield


def _serve(conf: AppConfig, health: Callable[[], Health], pages: MutableMapping[str, Render]) -> Callable[[], None]:
    # Only here: most runners, and every worker, do without an HTTP server in memory.
    from pynenc.runners.health_server import HealthServer, health_pages

    assert conf.health_port is not None
    return HealthServer(conf.health_host, conf.health_port, ChainMap(health_pages(health), pages)).close


class Teller:
    """Touches a file and notifies systemd.

    Args:
        health: of the runner.
        notifier: of systemd.
        file: to touch; it goes at the end. None: there is none.
    """

    def __init__(self, health: Callable[[], Health], notifier: Notifier, file: Path | None) -> None:
        self._health = health
        self._notifier = notifier
        self._file = file
        self._over = threading.Event()
        self._grievances = Grievances(logger)
        self._told_ready = False
        self._told_stopping = False
        self._reason = ""
        self._pause_s = min(_LONGEST_S, (notifier.watchdog_s or 3 * _LONGEST_S) / 3)
        self._thread = threading.Thread(target=self._run, name="pynenc-teller", daemon=True)

    def start(self) -> Callable[[], None]:
        """Begin; return what ends it.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        self._touch()
        self._thread.start()
        return self._close

    def _close(self) -> None:
        self._over.set()
        self._thread.join()
        self._tell_stopping()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._over.wait(self._pause_s if self._told_ready else _STARTING_S):
            try:
                self.tell(self._health())
            except ConfigurationError as error:
                self._grievances.say("file", logging.ERROR, "this runner cannot say that it is alive: %s", error)

    def tell(self, health: Health) -> None:
        """Pass on how the runner is."""
        if not health.alive:
            return
        self._touch()
        if health.ready and not self._told_ready:
            self._told_ready = True
            self._notifier.ready()
        if health.reason == "draining":
            self._tell_stopping()
        elif health.reason != self._reason:
            self._reason = health.reason
            self._notifier.status(health.reason or "serving")
        if self._notifier.watchdog_s is not None:
            self._notifier.alive()

    def _tell_stopping(self) -> None:
        if not self._told_stopping:
            self._told_stopping = True
            self._notifier.stopping()

    def _touch(self) -> None:
        if self._file is None:
            return
        try:
            self._file.touch()
        except OSError as error:
            raise ConfigurationError(f"alive_file={str(self._file)!r} cannot be written: {error}") from error
