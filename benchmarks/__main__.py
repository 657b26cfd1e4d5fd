"""`python -m benchmarks`: measure Pynenc beside its peers, then its own figures. Medians; one machine, one run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import figures
from benchmarks.system import System
from benchmarks.systems.huey_sqlite import HueySqlite
from benchmarks.systems.pynenc_servers import PynencPostgresql, PynencRedis
from benchmarks.systems.pynenc_sqlite import PynencSqlite

SYSTEMS: tuple[Callable[[], System], ...] = (PynencSqlite, PynencRedis, PynencPostgresql, HueySqlite)
WORKERS = 2


def main() -> None:
    """Measure what the command line asks for and print it as Markdown."""
    arguments = _arguments()
    print(
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{os.cpu_count()} cores, {platform.machine()}; medians of {arguments.rounds} rounds\n"
    )
    report: dict[str, object] = {}
    if "peers" in arguments.parts:
        report["peers"] = peers(arguments.rounds, arguments.tasks)
    if "own" in arguments.parts:
        report["own"] = own()
    if "install" in arguments.parts:
        report["install"] = _told("pip install .", figures.installation())
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", default=["peers", "own", "install"], help="peers, own, install")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement beside the peers")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of one end-to-end round")
    parser.add_argument("--json", help="also write the figures to this file")
    return parser.parse_args()


# --- beside the peers -----------------------------------------------------------------------------------


def peers(rounds: int, tasks: int) -> dict[str, dict[str, float]]:
    """Measure every system in turn, round after round, so that a drift of the machine meets all of them."""
    raw: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for make in SYSTEMS:
            system = make()
            for figure, value in _round(system, tasks).items():
                raw.setdefault(system.name, {}).setdefault(figure, []).append(value)
    medians = {
        name: {figure: statistics.median(values) for figure, values in of_system.items()}
        for name, of_system in raw.items()
    }
    _print_table(medians)
    return medians


def _round(system: System, tasks: int) -> dict[str, float]:
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        system.start(Path(folder), workers=0)
        found["one by one /s"] = _rate(system.submit_one_by_one, tasks // 5)
        found["bulk /s"] = _rate(system.submit_bulk, tasks)
        system.stop()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        system.start(Path(folder), workers=WORKERS)
        system.run_all(tasks // 10)
        found["end to end /s"] = _rate(system.run_all, tasks)
        for name, pause_s in (("next at once", 0.0), ("5 ms apart", 0.005)):
            times = sorted(_round_trip_ms(system, pause_s) for _ in range(300))
            found[f"{name} p50 ms"] = times[len(times) // 2]
            found[f"{name} p95 ms"] = times[len(times) * 95 // 100]
        system.stop()
    return found


def _rate(work: Callable[[int], None], number: int) -> float:
    begin = time.perf_counter()
    work(number)
    return number / (time.perf_counter() - begin)


def _round_trip_ms(system: System, pause_s: float) -> float:
    time.sleep(pause_s)
    begin = time.perf_counter()
    system.round_trip()
    return 1e3 * (time.perf_counter() - begin)


def _print_table(medians: dict[str, dict[str, float]]) -> None:
    names = list(medians)
    columns = list(next(iter(medians.values())))
    print("| system | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name in names:
        print(f"| {name} | " + " | ".join(_shown(medians[name][column]) for column in columns) + " |")
    for name in names[1:]:
        ratios = (medians[names[0]][column] / medians[name][column] for column in columns)
        print(f"| ratio to {name} | " + " | ".join(f"{ratio:.2f}×" for ratio in ratios) + " |")
    print()


# --- alone ----------------------------------------------------------------------------------------------


def own() -> dict[str, object]:
    """Measure what only Pynenc is asked for."""
    claim = figures.claim_cost()
    few, many = min(claim), max(claim)
    return {
        "recovery": _told("recovery after SIGKILL of a runner, s", figures.recovery_seconds()),
        "idle": _told("idle runner", figures.idle_runner()),
        "claim": _told(
            f"claim of ten, µs, {few:,} / {many:,} queued",
            (claim[few], claim[many], claim[many] / claim[few]),
        ),
        "start": _told("runner process to first result, s", figures.worker_start_seconds()),
        "bare": _told("bare SQLite transaction at once / 5 ms apart, µs", figures.bare_transactions()),
        "import": _told("import pynenc and make an app, s", figures.import_seconds()),
        "sleeps": _told("10,000 × 50 ms sleeps, × ideal", figures.asyncio_sleeps()),
        "bare_sleeps": _told("the same on bare asyncio, × ideal", figures.bare_asyncio_sleeps()),
    }


def _told(name: str, value: object) -> object:
    print(f"- {name}: {_shown(value)}", flush=True)
    return value


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    if isinstance(value, tuple):
        return " / ".join(_shown(part) for part in value)
    return str(value)


if __name__ == "__main__":
    main()
