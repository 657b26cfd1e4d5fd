"""What a runner costs to start, to leave idle and to lose."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.alone.places import bench_client, fresh_store, runners
from benchmarks.noop_app import echo, hold
from benchmarks.record import Figure, Measured

_ROOT = Path(__file__).parents[2]


def recovery() -> Measured:
    """How long after SIGKILL of a whole runner, with defaults, another one has run what it held."""
    with fresh_store() as url, bench_client(url), runners(url, workers=1) as [victim]:
        _ = hold(0.0).result
        held = hold(0.5)
        while held.status.value != "running":
            time.sleep(0.01)
        with runners(url, workers=1):
            os.kill(victim, signal.SIGKILL)
            begin = time.perf_counter()
            _ = held.get(timeout=60)
            taken = time.perf_counter() - begin
    what = "a whole runner killed with SIGKILL, defaults: until another one has run what it held"
    return Measured(figures=[Figure(what=what, value=taken, unit=" s", at_most=15)])


def idle(seconds: float) -> Measured:
    """What an idle process runner with two workers costs: share of a core, and wake-ups per second."""
    with fresh_store() as url, bench_client(url), runners(url, workers=2) as [runner]:
        _ = echo(1).result
        time.sleep(2.0)
        pids = descendants(runner)
        before = _usage(pids)
        time.sleep(seconds)
        after = _usage(pids)
    share = 100.0 * (after[0] - before[0]) / seconds
    wakes = (after[1] - before[1]) / seconds
    return Measured(
        figures=[
            Figure(what="idle process runner with two workers: share of a core", value=share, unit=" %", at_most=0.2),
            Figure(
                what="the same: times any of its threads woke, per second",
                value=wakes,
                detail="one heartbeat every third of a lease; nothing polls",
            ),
        ]
    )


def descendants(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in descendants(int(child)))]


def _usage(pids: list[int]) -> tuple[float, int]:
    """Return CPU seconds and voluntary context switches of processes so far."""
    tick = os.sysconf("SC_CLK_TCK")
    cpu, switches = 0.0, 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu += (int(fields[11]) + int(fields[12])) / tick
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for line in (thread / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    switches += int(line.split()[1])
    return cpu, switches


def start(runs: int = 5) -> Measured:
    """The median time from the start of a process runner with one worker, in a new process, to its first result."""
    # The first one compiles what the others find compiled, as in an installed package.
    _, *taken = [_start_s() for _ in range(runs + 1)]
    what = "start of a runner process with one worker, until its first result"
    return Measured(figures=[Figure(what=what, value=statistics.median(taken), unit=" s", at_most=0.5)])


def _start_s() -> float:
    with fresh_store() as url, bench_client(url):
        pending = echo(1)
        begin = time.perf_counter()
        with runners(url, workers=1):
            _ = pending.get(timeout=60)
            return time.perf_counter() - begin


def importing(runs: int = 9) -> Measured:
    """The median time that `import pynenc` and its app class add to a bare interpreter."""

    def once(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=_ROOT)
        return time.perf_counter() - begin

    code = "from pynenc import Pynenc; Pynenc()"
    once(code)
    bare = statistics.median(once("pass") for _ in range(runs))
    taken = statistics.median(once(code) for _ in range(runs)) - bare
    return Measured(figures=[Figure(what=f"`{code}` over a bare interpreter", value=taken, unit=" s", at_most=0.15)])
