"""What a long distributed run tells while it goes on: failures at once, and which tests take unusually long.

A run that is cut off, or that hangs, has said by then what was wrong.
"""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import settings

# How long an example may take is no matter of right or wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LONG_S = 180.0
"""A test that runs longer is named once."""
_LOOK_S = 10.0
_MOST_TEXT = 4_000


class Narrator:
    """Prints beside the dots of the process that hands out the tests."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_now_and_then, name="narrator", daemon=True)
        self._watch.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        with self._lock:
            self._began[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        with self._lock:
            self._began.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._say(f"failed in its {report.when}: {report.nodeid}\n{report.longreprtext[-_MOST_TEXT:]}")

    def pytest_sessionfinish(self) -> None:
        self._over.set()
        self._watch.join()

    def _look_now_and_then(self) -> None:
        while not self._over.wait(_LOOK_S):
            for test in self._take_late():
                self._say(f"runs for more than {LONG_S:.0f} s: {test}")

    def _take_late(self) -> list[str]:
        since = time.monotonic() - LONG_S
        with self._lock:
            late = [test for test, began in self._began.items() if began < since]
            for test in late:
                del self._began[test]
        return late

    def _say(self, text: str) -> None:
        self._terminal.ensure_newline()
        self._terminal.write_line(text)


def pytest_sessionstart(session: pytest.Session) -> None:
    plugins = session.config.pluginmanager
    terminal = plugins.get_plugin("terminalreporter")
    if terminal is not None and plugins.has_plugin("dsession"):  # with `-n`, in the process that hands out the tests
        plugins.register(Narrator(terminal))
