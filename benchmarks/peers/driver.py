"""Runs one peer and answers the measurements that ask for it, one JSON object a line on standard input and output.

    PEER_URL=redis://localhost/5 python driver.py dramatiq_peer

Only the standard library is imported here: this file runs in the environment of each peer, beside the peer's module,
which has a class `Peer` and is at the same time what the peer's own workers import.

Requests: {"do": "start", "workers": n}, {"do": "submit_one_by_one" | "submit_bulk" | "run_all", "number": n},
{"do": "round_trips", "number": n, "pause_s": s}, {"do": "stop"}. The answer is {"error": null, "value": …}.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from typing import Any

URL = os.environ.get("PEER_URL", "")
"""Where the peer's queue is."""
_STOP_S = 5.0


class BasePeer(ABC):
    """One task system: a no-op task `echo` that returns its argument, and results that are stored and read back."""

    distributions: tuple[str, ...]
    """Whose versions are told with the figures."""

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Open what submitting needs. The store is empty."""

    @abstractmethod
    def worker_commands(self, workers: int) -> list[list[str]]:
        """Return the command lines, after `python -m`, that start so many worker processes."""

    @abstractmethod
    def submit_one_by_one(self, number: int) -> None:
        """Submit calls, each acknowledged by the store before the next."""

    @abstractmethod
    def submit_bulk(self, number: int) -> None:
        """Submit calls the fastest way that the peer documents."""

    @abstractmethod
    def run_all(self, number: int) -> int:
        """Submit calls the fastest way, wait for every result, and return their sum."""

    @abstractmethod
    def round_trip(self) -> None:
        """Submit one call and wait for its result."""


class _Server:
    """The answers to requests, and the peer's workers."""

    def __init__(self, module: str) -> None:
        self._peer: BasePeer = importlib.import_module(module).Peer()
        self._workers: list[subprocess.Popen[bytes]] = []

    def answer(self, do: str, **given: Any) -> Any:
        """Do what was asked and return a value that JSON can hold."""
        if do not in ("start", "submit_one_by_one", "submit_bulk", "run_all", "round_trips", "stop"):
            raise ValueError(f"unknown request {do!r}")
        return getattr(self, do)(**given)

    def start(self, workers: int) -> dict[str, str]:
        """Return the versions of what is measured, once a call has gone through the workers, if there are any."""
        self._peer.prepare()
        commands = self._peer.worker_commands(workers) if workers else []
        for command in commands:
            self._workers.append(
                subprocess.Popen([sys.executable, "-m", *command], stdout=sys.stderr, start_new_session=True)
            )
        if workers:
            self._peer.round_trip()
        return {name: importlib.metadata.version(name) for name in self._peer.distributions}

    def submit_one_by_one(self, number: int) -> None:
        self._peer.submit_one_by_one(number)

    def submit_bulk(self, number: int) -> None:
        self._peer.submit_bulk(number)

    def run_all(self, number: int) -> None:
        received = self._peer.run_all(number)
        if received != sum(range(number)):
            raise RuntimeError(f"results of {number} calls add up to {received}, not to {sum(range(number))}")

    def round_trips(self, number: int, pause_s: float) -> list[float]:
        """Return the seconds of each."""
        times = []
        for _ in range(number):
            time.sleep(pause_s)
            begin = time.perf_counter()
            self._peer.round_trip()
            times.append(time.perf_counter() - begin)
        return times

    def stop(self) -> None:
        """Stop the workers: politely, then with SIGKILL for each whole session of processes."""
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + _STOP_S
        for worker in self._workers:
            try:
                worker.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            worker.wait()
        self._workers = []


def main() -> None:
    """Answer until standard input ends or `stop` was asked for."""
    # What the peer prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    server = _Server(sys.argv[1])
    try:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = {"error": None, "value": server.answer(**request)}
            except Exception as error:  # noqa: BLE001 - whatever the peer raises belongs in the report
                answer = {"error": f"{type(error).__name__}: {error}", "value": None}
            print(json.dumps(answer), file=answers)
            if request["do"] == "stop":
                return
    finally:
        server.stop()


if __name__ == "__main__":
    # The peer's module imports this file by its name.
    sys.modules["driver"] = sys.modules["__main__"]
    main()
