"""`python -m benchmarks.drain`: from SIGTERM to the end of the process, for an idle runner of each kind; medians."""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNNERS = {
    "thread": ("--runner", "thread"),
    "process": ("--runner", "process", "--processes", "2"),
    "async": ("--runner", "async"),
    "hybrid": ("--runner", "hybrid", "--processes", "2"),
}
_LOGGED = re.compile(r"^(\S+ \S+) .* (SIGTERM: drains|.* is done)", re.MULTILINE)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", help="the store; an SQLite file by default")
    given = parser.parse_args()
    rounds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in RUNNERS}
    for _ in range(given.rounds):
        # In turn, so that a drift of the machine meets all of them.
        for kind, options in RUNNERS.items():
            rounds[kind].append(drain_once(options, given.url))
    print("| idle runner | loop drained, s | process gone, s |\n|---|---|---|")
    for kind, found in rounds.items():
        loop_s, process_s = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"| {kind} | {loop_s:.3f} | {process_s:.3f} |")


def drain_once(options: tuple[str, ...], url: str | None) -> tuple[float, float]:
    """Start a runner, wait until it is ready, end it; return how long its loop and its process took for that."""
    with tempfile.TemporaryDirectory(prefix="drain-") as folder, (Path(folder) / "log").open("w+b") as log:
        store = url or f"sqlite:///{folder}/drain.db"
        alive = Path(folder) / "notify"
        process = subprocess.Popen(
            [sys.executable, "-m", "pynenc", "--app", "benchmarks.noop_app", "runner", "start", *options],
            env={**os.environ, "PYNENC_URL": store, "NOTIFY_SOCKET": str(alive)},
            stdout=log,
            stderr=log,
        )
        _wait_until_ready(alive)
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        process_s = time.monotonic() - began_s
        assert code == 0, f"exit code {code}"
        return _loop_s((Path(folder) / "log").read_text()), process_s


def _wait_until_ready(address: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(60)
        while not listener.recv(4096).startswith(b"READY=1"):
            pass


def _loop_s(log: str) -> float:
    """Return the time between the two lines that tell of the drain."""
    from datetime import datetime

    first, last = (datetime.fromisoformat(moment) for moment, _ in _LOGGED.findall(log))
    return (last - first).total_seconds()


if __name__ == "__main__":
    main()
