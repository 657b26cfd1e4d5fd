"""`pynenc bench`: quick figures of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import click

from pynenc.cli.context import State, print_json, print_table, with_state

_APP = '''"""Written by `pynenc bench`; gone when it ends."""
from pynenc import Pynenc

app = Pynenc(app_id="bench")


@app.task
def echo(value: int) -> int:
    return value
'''


@click.command()
@click.option("--tasks", type=click.IntRange(100), default=5_000, show_default=True)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option("--runner", "kind", default="process", show_default=True)
@with_state
def bench(state: State, tasks: int, processes: int, kind: str) -> None:
    """Measure no-op tasks on a fresh SQLite store in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="pynenc-bench-") as folder:
        url = f"sqlite:///{folder}/bench.db"
        with open(os.path.join(folder, "bench_app.py"), "w") as file:
            file.write(_APP)
        os.environ["PYNENC_URL"] = url
        figures = _measure(folder, tasks, processes, kind)
    if state.as_json:
        print_json(figures)
    else:
        print_table(
            "no-op tasks on SQLite", ["what", "figure"], [(name, f"{value:,.2f}") for name, value in figures.items()]
        )


def _measure(folder: str, tasks: int, processes: int, kind: str) -> dict[str, float]:
    sys.path.insert(0, folder)
    from pynenc.cli.discovery import find_app

    app = find_app(os.path.join(folder, "bench_app.py"))
    echo: Any = app.get_task("bench_app.echo")
    figures = {
        "submitted one by one /s": _rate(tasks // 5, lambda number: [echo(value) for value in range(number)]),
        "submitted in bulk /s": _rate(tasks, lambda number: echo.parallelize((value,) for value in range(number))),
    }
    app.purge()
    runner = subprocess.Popen(
        [
            *(sys.executable, "-m", "pynenc", "--app", os.path.join(folder, "bench_app.py")),
            *("runner", "start", "--runner", kind, "--processes", str(processes)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _ = echo(0).result
        figures["end to end /s"] = _rate(tasks, lambda number: _run_all(echo, number))
        times = sorted(_round_trip_ms(echo) for _ in range(100))
        figures["idle to result p50 ms"] = times[50]
        figures["idle to result p95 ms"] = times[95]
    finally:
        runner.terminate()
        runner.wait()
        app.close()
    return figures


def _rate(number: int, work: Callable[[int], Any]) -> float:
    begin = time.perf_counter()
    work(number)
    return number / (time.perf_counter() - begin)


def _run_all(echo: Any, number: int) -> None:
    received = sum(1 for _ in echo.parallelize((value,) for value in range(number)).results)
    if received != number:
        raise AssertionError(f"{number - received} results are missing")


def _round_trip_ms(echo: Any) -> float:
    time.sleep(0.005)
    begin = time.perf_counter()
    _ = echo(1).result
    return 1e3 * (time.perf_counter() - begin)
