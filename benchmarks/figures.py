"""The figures of Pynenc alone: what one system offers that cannot be asked of the others in the same way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.noop_app import app as bench_app
from benchmarks.systems.pynenc_sqlite import start_runner
from pynenc import Pynenc
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Exchange, Release, SessionInfo, SessionKind, Submission
from pynenc.ports.backend import Backend

ROOT = Path(__file__).parent.parent


@contextmanager
def fresh_store() -> Iterator[str]:
    """Give a URL of an SQLite store that exists as long as the block."""
    with tempfile.TemporaryDirectory(prefix="pynenc-bench-") as folder:
        yield f"sqlite:///{folder}/bench.db"


@contextmanager
def bench_client(url: str) -> Iterator[Pynenc]:
    """Point the app of the measurements at a store."""
    bench_app.conf.url = url
    bench_app.release_backend()
    try:
        yield bench_app
    finally:
        bench_app.release_backend()


def recovery_seconds() -> float:
    """Return how long after SIGKILL of a whole runner, with defaults, another one has run what it held."""
    from benchmarks.noop_app import hold

    with fresh_store() as url, bench_client(url):
        victim = start_runner(url, "process", workers=1)
        warm = hold(0.0)
        _ = warm.result
        held = hold(0.5)
        while held.status.value != "running":
            time.sleep(0.01)
        other = start_runner(url, "process", workers=1)
        victim.kill()
        begin = time.perf_counter()
        _ = held.get(timeout=60)
        taken = time.perf_counter() - begin
        other.terminate()
        other.wait(timeout=30)
        return taken


def idle_runner(seconds: float = 15.0) -> dict[str, float]:
    """Return what an idle process runner with two workers costs: share of a core, and wake-ups per second."""
    with fresh_store() as url:
        runner = start_runner(url, "process", workers=2)
        with bench_client(url):
            from benchmarks.noop_app import echo

            _ = echo(1).result
        time.sleep(2.0)
        pids = _tree(runner.pid)
        before = _usage(pids)
        time.sleep(seconds)
        after = _usage(pids)
        runner.terminate()
        runner.wait(timeout=30)
    return {
        "core_percent": 100.0 * (after[0] - before[0]) / seconds,
        "wakeups_per_s": (after[1] - before[1]) / seconds,
    }


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in _tree(int(child)))]


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


def claim_cost(queued: tuple[int, ...] = (1_000, 1_000_000), claims: int = 300) -> dict[int, float]:
    """Return microseconds per exchange that claims ten and hands them back, by how many are queued."""
    costs: dict[int, float] = {}
    with fresh_store() as url:
        backend = open_backend(url)
        present = 0
        for target in queued:
            _fill(backend, target - present)
            present = target
            costs[target] = _claim_time(backend, claims)
        backend.close()
    return costs


def _fill(backend: Backend, number: int) -> None:
    for start in range(0, number, 1_000):
        size = min(1_000, number - start)
        items = [
            Submission(invocation_id=new_invocation_id(), task_id="bench.noop", arguments=b"x" * 64)
            for _ in range(size)
        ]
        run(backend.orchestrator.submit(items))


def _claim_time(backend: Backend, claims: int) -> float:
    orchestrator = backend.orchestrator
    info = SessionInfo(kind=SessionKind.RUNNER, name="bench", host="", pid=0, slots=10)
    session = run(orchestrator.open_session(info, lease_us=3_600_000_000))
    times = []
    for _ in range(claims):
        begin = time.perf_counter()
        reply = run(orchestrator.exchange(Exchange(session=session, want=10)))
        times.append(time.perf_counter() - begin)
        back = tuple(Release(invocation_id=claim.invocation_id, epoch=claim.epoch) for claim in reply.claims)
        run(orchestrator.exchange(Exchange(session=session, completions=back)))
    run(orchestrator.close_session(session))
    return 1e6 * statistics.median(times)


def bare_transactions(number: int = 300) -> tuple[float, float]:
    """Return microseconds of a transaction that inserts one row through `sqlite3` alone: in a row, and 5 ms apart.

    What a processor that just woke costs everything it does; to be seen beside the latencies.
    """

    def median(pause_s: float) -> float:
        times = []
        for _ in range(number):
            time.sleep(pause_s)
            begin = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (?, ?)", (os.urandom(16), b"x" * 50))
            connection.execute("COMMIT")
            times.append(time.perf_counter() - begin)
        return 1e6 * statistics.median(times)

    with tempfile.TemporaryDirectory(prefix="pynenc-bench-") as folder:
        connection = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE t (id BLOB PRIMARY KEY, payload BLOB) WITHOUT ROWID")
        found = median(0.0), median(0.005)
        connection.close()
    return found


def worker_start_seconds() -> float:
    """Return the time from the start of a process runner with one worker, in a new process, to its first result."""
    from benchmarks.noop_app import echo

    with fresh_store() as url, bench_client(url):
        pending = echo(1)
        begin = time.perf_counter()
        runner = start_runner(url, "process", workers=1)
        _ = pending.get(timeout=60)
        taken = time.perf_counter() - begin
        runner.terminate()
        runner.wait(timeout=30)
        return taken


def import_seconds(runs: int = 9) -> float:
    """Return the median time that `import pynenc` and its app class add to a bare interpreter."""

    def once(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
        return time.perf_counter() - begin

    bare = statistics.median(once("pass") for _ in range(runs))
    return statistics.median(once("from pynenc import Pynenc; Pynenc()") for _ in range(runs)) - bare


def installation() -> dict[str, float]:
    """Return how many distributions and megabytes `pip install .` adds to a new environment."""
    with tempfile.TemporaryDirectory(prefix="pynenc-install-") as folder:
        venv.create(folder, with_pip=True)
        site = next(Path(folder).glob("lib/python*/site-packages"))
        before = {path.name for path in site.iterdir()}
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", str(ROOT)], check=True)
        added = [path for path in site.iterdir() if path.name not in before]
        files = [file for path in added for file in ([path] if path.is_file() else path.rglob("*"))]
        return {
            "distributions": sum(path.name.endswith(".dist-info") for path in added),
            "megabytes": sum(file.stat().st_size for file in files if file.is_file()) / 1e6,
        }


def asyncio_sleeps(number: int = 10_000, pause_s: float = 0.05, concurrency: int = 100) -> float:
    """Return the time that `number` sleeps take on one asyncio runner, over the ideal of its concurrency limit."""
    from benchmarks.noop_app import doze

    with fresh_store() as url, bench_client(url):
        runner = start_runner(url, "async", workers=concurrency)
        _ = doze(0.0).result
        begin = time.perf_counter()
        group = doze.parallelize((pause_s,) for _ in range(number))
        ended = sum(1 for _ in group.results)
        taken = time.perf_counter() - begin
        runner.terminate()
        runner.wait(timeout=30)
        assert ended == number
        return taken / (number * pause_s / concurrency)


def bare_asyncio_sleeps(number: int = 10_000, pause_s: float = 0.05, concurrency: int = 100) -> float:
    """Return what the same sleeps take with a semaphore and no task system, over the same ideal."""

    async def main() -> float:
        limit = asyncio.Semaphore(concurrency)

        async def one() -> None:
            async with limit:
                await asyncio.sleep(pause_s)

        begin = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(number)))
        return time.perf_counter() - begin

    return asyncio.run(main()) / (number * pause_s / concurrency)
