"""`python -m benchmarks.runner_figures`: what runners cost, and how soon they go on after a worker died."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.bytecode import keep_bytecode
from benchmarks.crash_app import app, die_once, echo, meet
from pynenc.runners.vitals import read_vitals
from tests.faults.processes import RunnerProcess

_CRASHES = 20
_COME_UP_S = 1.0
"""What a new spare has to load the app in, before the next crash."""
_MIB = 2**20


class _Case(NamedTuple):
    workers: int
    spares: int
    others: str


_CASES = (
    _Case(2, 0, "another one is idle"),
    _Case(1, 0, "there is no other"),
    _Case(1, 1, "there is no other, but a spare"),
)


def main() -> None:
    """Measure on one store and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runner_figures", description=__doc__)
    parser.add_argument("--url", help="the store; by default a fresh SQLite file")
    given = parser.parse_args()
    keep_bytecode()
    with tempfile.TemporaryDirectory(prefix="pynenc-bench-") as folder:
        app.conf.url = given.url or f"sqlite:///{folder}/bench.db"
        try:
            for case in _CASES:
                app.purge()
                _look_at(case, Path(folder))
        finally:
            app.purge()
            app.close()


def _look_at(case: _Case, folder: Path) -> None:
    settings = {"PYNENC__SPARE_WORKERS": str(case.spares), "PYNENC__LOGGING_LEVEL": "error"}
    runner = RunnerProcess(
        "benchmarks.crash_app",
        *("--runner", "process", "--processes", str(case.workers)),
        environment={"PYNENC_URL": app.conf.url, **settings},
        log=folder / "runner.log",
    )
    try:
        list(echo.parallelize([(n,) for n in range(1_000)]).results)
        loop, *each = (_resident_mib(pid) for pid in [runner.pid, *runner.workers])
        print(f"- resident: control loop {loop:.0f} MiB, workers {', '.join(f'{one:.0f}' for one in each)} MiB")
        pauses_ms = sorted(1e3 * _crash_to_second_run_s(case, folder, n) for n in range(_CRASHES))
        print(
            f"- worker dies in a body, {case.others}: body runs again after p50 "
            f"{statistics.median(pauses_ms):.1f} ms, most {pauses_ms[-1]:.1f} ms"
        )
    finally:
        runner.stop()


def _resident_mib(pid: int) -> float:
    vitals = read_vitals(pid)
    assert vitals is not None, f"process {pid} is gone"
    return vitals.memory_bytes / _MIB


def _crash_to_second_run_s(case: _Case, folder: Path, number: int) -> float:
    """Return how long after its first body had ended its process a second one began; all workers are up before."""
    room = Path(tempfile.mkdtemp(dir=folder))
    list(meet.parallelize([(str(room), case.workers)] * case.workers).results)
    time.sleep(_COME_UP_S if case.spares else 0.0)
    marker = room / f"crash-{number}"
    began = die_once(str(marker)).get(timeout=60)
    died: float = float(marker.read_text())
    return began - died


if __name__ == "__main__":
    main()
