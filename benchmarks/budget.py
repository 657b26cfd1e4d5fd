"""`python -m benchmarks.budget`: where the processor time of a task goes, part by part, on each store.

Processor time, not rates: it says what a change saved on a machine that is busy with other work too. Medians of rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.alone.processes import descendants
from benchmarks.comparison import WORKERS
from benchmarks.services import STORES, own_servers, server_url
from benchmarks.system import System
from benchmarks.systems.bare_store import BareStore
from benchmarks.systems.pynenc_here import PynencHere

Parts = dict[str, float]
"""Microseconds by part."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=["redis", "postgresql", "sqlite"])
    parser.add_argument("--tasks", type=int, default=10_000, help="of a round (default: %(default)s)")
    parser.add_argument("--round-trips", type=int, default=300, help="of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts (default: %(default)s)")
    given = parser.parse_args()
    print("| what, µs per task | client | control loop | workers | server | all | elapsed |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with own_servers():
        for store in given.stores:
            for what, rounds in _measured(store, given.tasks, given.round_trips, given.rounds).items():
                print(f"| {store}: {what} | {_row(rounds)} |", flush=True)


def _row(rounds: Sequence[Parts]) -> str:
    names = ("client", "control loop", "workers", "server", "all", "elapsed")
    return " | ".join(f"{statistics.median(each.get(name, 0.0) for each in rounds):.1f}" for name in names)


def _measured(store: str, tasks: int, round_trips: int, rounds: int) -> dict[str, list[Parts]]:
    """Return the rounds of each measurement."""
    found: dict[str, list[Parts]] = {}
    for _ in range(rounds):
        # In turn, so that a drift of the machine meets all of them.
        with _started(BareStore(store), workers=0) as bare:
            found.setdefault("bare loop, in bulk", []).append(_parts(store, tasks, lambda: bare.run_all(tasks)))
            found.setdefault("bare loop, one at a time", []).append(
                _parts(store, round_trips, lambda: bare.round_trips(round_trips, pause_s=0.0))
            )
        with _started(PynencHere(store), workers=WORKERS) as here:
            here.run_all(tasks // 10)
            found.setdefault("end to end, in bulk", []).append(_parts(store, tasks, lambda: here.run_all(tasks)))
            found.setdefault("round trip", []).append(
                _parts(store, round_trips, lambda: here.round_trips(round_trips, pause_s=0.0))
            )
    return found


@contextmanager
def _started(system: Any, *, workers: int) -> Iterator[Any]:
    checked: System = system
    with tempfile.TemporaryDirectory(prefix="budget-") as folder:
        try:
            checked.start(Path(folder), workers=workers)
            yield checked
        finally:
            checked.stop()


def _parts(store: str, number: int, work: Callable[[], Any]) -> Parts:
    """Return what `work` costs each part, per one of `number`."""
    runners = _children()
    workers = [worker for runner in runners for worker in descendants(runner)[1:]]
    server = _server(store)
    pids = {"client": [os.getpid()], "control loop": runners, "workers": workers, "server": server}
    before = {pid: _used_us(pid) for some in pids.values() for pid in some}
    begin = time.perf_counter()
    work()
    elapsed_us = (time.perf_counter() - begin) * 1e6
    spent = {name: sum(max(0.0, _used_us(pid) - before[pid]) for pid in some) / number for name, some in pids.items()}
    return {**spent, "all": sum(spent.values()), "elapsed": elapsed_us / number}


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]


def _server(store: str) -> list[int]:
    """Return the processes of the server of a store, those of its connections included."""
    if store == "sqlite":
        return []
    if store == "postgresql":
        import psycopg

        with psycopg.connect(server_url(store), autocommit=True) as connection:
            # Each connection is a process of its own, a child of the server.
            return descendants(int(_status_of(connection.info.backend_pid, "PPid")))
    import redis

    with redis.Redis.from_url(server_url(store)) as client:
        info: dict[str, int] = client.info("server")
        return [info["process_id"]]


def _status_of(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise LookupError(f"process {pid} has no {name}")


def _used_us(pid: int) -> float:
    """Return the processor time of all threads of a process so far; 0 if it has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e3
    except FileNotFoundError:
        return 0.0


if __name__ == "__main__":
    main()
