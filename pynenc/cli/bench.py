"""`pynenc bench`: quick figures of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.tables import print_table
from pynenc.errors import RunnerError

_APP = '''"""Written by `pynenc bench`; gone when it ends."""
from pynenc import Pynenc

app = Pynenc(app_id="bench")


@app.task
def echo(value: int) -> int:
    return value
'''
_ROUND_TRIPS = 100
_PATIENCE_S = 60.0
_LABELS = {
    "submitted_one_by_one_per_s": "submitted one by one, 1/s",
    "submitted_in_bulk_per_s": "submitted in bulk, 1/s",
    "end_to_end_per_s": "submitted in bulk, run, results received, 1/s",
    "idle_to_result_p50_ms": "one task on an idle runner, p50, ms",
    "idle_to_result_p95_ms": "one task on an idle runner, p95, ms",
}


@click.command()
@click.option("--tasks", type=click.IntRange(100), default=5_000, show_default=True)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True, help="Or threads, or coroutines.")
@click.option("--runner", "kind", default="process", show_default=True, help="thread, process or async.")
@click.option("--here", is_flag=True, help="On the disk of this folder instead of the system's temporary one.")
@with_state
def bench(state: State, tasks: int, processes: int, kind: str, here: bool) -> None:
    """Measure no-op tasks on an SQLite store of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".pynenc-bench-", dir=os.getcwd() if here else None) as name:
        folder = Path(name).resolve()
        (folder / "bench_app.py").write_text(_APP)
        # The environment wins over everything: no setting of this folder or user leads the benchmark to another store.
        os.environ["PYNENC_URL"] = f"sqlite:///{quote(str(folder / 'bench.db'))}"
        with chdir(folder):
            figures = _measure(folder, tasks, processes, kind)
    if state.as_json:
        print_json({"tasks": tasks, "processes": processes, "runner": kind, **figures})
    else:
        print_table(
            f"{tasks:,} no-op tasks on SQLite, {processes} at once in a {kind} runner",
            ["what", "figure"],
            [(_LABELS[name], f"{value:,.2f}") for name, value in figures.items()],
        )


def _measure(folder: Path, tasks: int, processes: int, kind: str) -> dict[str, float]:
    from pynenc.cli.discovery import find_app

    app = find_app(str(folder / "bench_app.py"))
    echo: Any = app.get_task("bench_app.echo")
    figures = {
        "submitted_one_by_one_per_s": _rate(tasks // 5, lambda number: [echo(value) for value in range(number)]),
        "submitted_in_bulk_per_s": _rate(tasks, lambda number: _submit(echo, number)),
    }
    app.purge()
    try:
        with _runner(folder, kind, processes) as process:
            _await_first(echo, process, folder)
            figures["end_to_end_per_s"] = _rate(tasks, lambda number: _run_all(echo, number))
            times = sorted(_round_trip_ms(echo) for _ in range(_ROUND_TRIPS))
    finally:
        app.close()
    figures["idle_to_result_p50_ms"] = times[_ROUND_TRIPS // 2]
    figures["idle_to_result_p95_ms"] = times[_ROUND_TRIPS * 95 // 100]
    return figures


@contextmanager
def _runner(folder: Path, kind: str, processes: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "pynenc", "--app", str(folder / "bench_app.py"), "runner", "start"]
    with (folder / "runner.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--runner", kind, "--concurrency", str(processes)], stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _await_first(echo: Any, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the runner works; a runner that ended instead is told with the end of its log."""
    first = echo(0)
    deadline = time.monotonic() + _PATIENCE_S
    while not first.wait(timeout=0.5):
        if process.poll() is not None or time.monotonic() > deadline:
            log = (folder / "runner.log").read_text(errors="replace").strip()
            raise RunnerError(f"the runner of the benchmark does not work: {log[-500:]}")


def _rate(number: int, work: Callable[[int], Any]) -> float:
    begin = time.perf_counter()
    work(number)
    return number / (time.perf_counter() - begin)


def _submit(echo: Any, number: int) -> Any:
    return echo.parallelize((value,) for value in range(number))


def _run_all(echo: Any, number: int) -> None:
    received = sum(1 for _ in _submit(echo, number).results)
    if received != number:
        raise RunnerError(f"{number - received} results are missing")


def _round_trip_ms(echo: Any) -> float:
    time.sleep(0.005)
    begin = time.perf_counter()
    _ = echo(1).result
    return 1e3 * (time.perf_counter() - begin)
