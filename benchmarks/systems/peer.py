"""Another task system, driven in its own environment through JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import PEERS
from benchmarks.services import fresh_url
from benchmarks.system import System

_ANSWER_S = 120.0
_START_S = 60.0
_STOP_S = 45.0


class PeerFailed(Exception):
    """A peer answered with an error, ended, or took too long."""


class Peer(System):
    """One peer with its workers."""

    def __init__(
        self, store: str, module: str, python: Callable[[], Path], *, modules: Sequence[Path] = (PEERS,)
    ) -> None:
        """Prepare a peer; nothing runs yet.

        Args:
            store: where its queue is.
            module: its driver.
            python: gives the interpreter of its environment; called at the start, as it may be made there.
            modules: folders of modules that the environment does not have.
        """
        self.store = store
        self.versions: Mapping[str, str] = {}
        self._module = module
        self._python = python
        self._path = os.pathsep.join(map(str, modules))
        self._driver: subprocess.Popen[str] | None = None

    def start(self, folder: Path, *, workers: int) -> None:
        python = self._python()
        environment = _plain_environment() | {
            "PEER_URL": fresh_url(self.store, folder, "peer"),
            "PYTHONPATH": self._path,
        }
        self._log = folder / "peer.log"
        with self._log.open("w") as log:
            self._driver = subprocess.Popen(
                [python, PEERS / "driver.py", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env=environment,
            )
        self.versions = self._ask("start", within_s=_START_S, workers=workers)

    def submit_one_by_one(self, number: int) -> None:
        self._ask("submit_one_by_one", number=number)

    def submit_bulk(self, number: int) -> None:
        self._ask("submit_bulk", number=number)

    def run_all(self, number: int) -> None:
        self._ask("run_all", number=number)

    def round_trips(self, number: int, *, pause_s: float) -> list[float]:
        times: list[float] = self._ask("round_trips", number=number, pause_s=pause_s)
        return times

    def stop(self) -> None:
        driver, self._driver = self._driver, None
        if driver is None:
            return
        try:
            # The end of its input is what it stops at, with its workers.
            driver.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.communicate()

    def _ask(self, do: str, *, within_s: float = _ANSWER_S, **given: Any) -> Any:
        driver = self._driver
        assert driver is not None, "start() comes first"
        assert driver.stdin is not None
        assert driver.stdout is not None
        watchdog = threading.Timer(within_s, driver.terminate)
        watchdog.start()
        try:
            driver.stdin.write(json.dumps({"do": do, **given}) + "\n")
            driver.stdin.flush()
            line = driver.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            raise PeerFailed(f"{do}: no answer within {within_s:g} s, or it ended; {self._last_words()}")
        answer = json.loads(line)
        if answer["error"] is not None:
            raise PeerFailed(f"{do}: {answer['error']}")
        return answer["value"]

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"its log ends with: {lines[-1]}" if lines else "its log is empty"


def _plain_environment() -> dict[str, str]:
    """Return the environment without what would configure a peer by accident."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYNENC", "CELERY", "PYTHON"))}
