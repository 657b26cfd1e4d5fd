"""How much memory waiting takes: thousands of parents that wait for children which come later, on a few slots.

    python -m benchmarks.waiting_parents --runner thread --parents 10000 --levels 2

Prints, of the runner and its worker processes together: the most resident memory, the most threads, and the most bodies
that it had in hand at a time (running, waiting, claimed). With `--max-parked 1000000` nothing is bounded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from msgspec import Struct

from pynenc import Pynenc
from pynenc.io import run
from pynenc.model.records import SessionKind

app = Pynenc(app_id="waiting_parents")
DELAY_S = float(os.environ.get("WAITING_DELAY_S", "0.2"))
RUNNERS = {
    "thread": ("ThreadRunner", ("max_threads",), ""),
    "process": ("ProcessRunner", ("num_processes",), ""),
    "async": ("AsyncRunner", ("concurrency",), ""),
    "hybrid-threads": ("HybridRunner", ("concurrency",), "threads"),
    "hybrid-asyncio": ("HybridRunner", ("concurrency",), "asyncio"),
}
_PAGE = os.sysconf("SC_PAGE_SIZE")


@app.task
def parent(levels: int) -> int:
    """Wait for a child that cannot be claimed for a while, on so many levels; return how many there were."""
    return 0 if levels == 0 else parent.options(delay=DELAY_S)(levels - 1).result + 1


@app.task
async def async_parent(levels: int) -> int:
    """`parent` as a coroutine."""
    return 0 if levels == 0 else await (await async_parent.options(delay=DELAY_S).acall(levels - 1)) + 1


class Usage(Struct):
    """The most that was seen of a runner."""

    rss_mib: float = 0.0
    threads: int = 0
    in_hand: int = 0

    def look(self, pids: list[int], in_hand: int) -> None:
        """Take a moment into account."""
        rss = threads = 0
        for pid in pids:
            try:
                rss += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
                threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
            except (FileNotFoundError, ProcessLookupError):
                continue
        self.rss_mib = max(self.rss_mib, rss / 2**20)
        self.threads = max(self.threads, threads)
        self.in_hand = max(self.in_hand, in_hand)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", choices=sorted(RUNNERS), default="thread")
    parser.add_argument("--parents", type=int, default=10_000)
    parser.add_argument("--levels", type=int, default=1, help="children below each parent, one below the other")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--max-parked", type=int, default=0, help="0 for the runner's default")
    parser.add_argument("--url", default="", help="a store; a file in a folder of its own by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given, given.url or f"sqlite:///{folder}/waiting.db")


def measure(given: argparse.Namespace, url: str) -> None:
    """Run all parents to their end and print the maxima."""
    app.conf.url = url
    task = async_parent if "async" in given.runner else parent
    usage, over = Usage(), threading.Event()
    group = task.parallelize([(given.levels,)] * given.parents)
    begun = time.perf_counter()
    runner = subprocess.Popen(
        [sys.executable, "-m", "pynenc", "--app", "benchmarks.waiting_parents", "runner", "start"],
        env={**os.environ, **_environment(given, url)},
    )
    watcher = threading.Thread(target=_watch, args=(runner.pid, usage, over))
    watcher.start()
    try:
        results = [invocation.get() for invocation in group]
        took_s = time.perf_counter() - begun
    finally:
        over.set()
        watcher.join()
        runner.terminate()
        runner.wait()
    assert results == [given.levels] * given.parents
    assert run(app.control.verify()) == []
    print(
        f"{given.runner}: {given.parents} parents of {given.levels} levels on {given.slots} slots in {took_s:.1f} s: "
        f"at most {usage.in_hand} in hand, {usage.threads} threads, {usage.rss_mib:.0f} MiB resident"
    )


def _environment(given: argparse.Namespace, url: str) -> dict[str, str]:
    runner, slots, mode = RUNNERS[given.runner]
    settings = {"runner_cls": runner, "max_parked": given.max_parked, **dict.fromkeys(slots, given.slots)}
    if mode:
        settings |= {"worker_mode": mode, "num_processes": 2, "concurrency": max(1, given.slots // 2)}
    return {"PYNENC_URL": url, **{f"PYNENC__{name.upper()}": str(value) for name, value in settings.items()}}


def _watch(pid: int, usage: Usage, over: threading.Event) -> None:
    """Look at a runner and its workers again and again."""
    while not over.wait(0.1):
        workers = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        sessions = run(app.control.list_sessions())
        in_hand = sum(row.owned for row in sessions if row.info.kind is SessionKind.RUNNER)
        usage.look([pid, *workers], in_hand)


if __name__ == "__main__":
    main()
