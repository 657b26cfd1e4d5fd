"""Pynenc beside its peers: rates and latencies, interleaved in one run."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.catalogue import Entry
from benchmarks.record import Rates, SystemReport
from benchmarks.system import System

WORKERS = 2
PAUSES = (("in a row", 0.0), ("5 ms apart", 0.005))
PERCENTILES = (50, 95, 99)
ONE_BY_ONE, BULK, END_TO_END = "one by one /s", "bulk /s", "end to end /s"


class Sizes(Struct, frozen=True, kw_only=True):
    """How much is asked of each system."""

    rounds: int
    tasks: int
    """Of one round of a system whose share is 1."""
    round_trips: int
    tasks_of: Mapping[str, int] = {}
    """By key, instead of the share."""

    def tasks_for(self, entry: Entry) -> int:
        """Return the tasks of one end-to-end round."""
        return self.tasks_of.get(entry.key) or max(50, round(self.tasks * entry.share))

    def round_trips_for(self, entry: Entry) -> int:
        """Return the round trips of one series: fewer only for the slowest."""
        return max(20, round(self.round_trips * min(1.0, 10 * entry.share)))


def compare(entries: Sequence[Entry], sizes: Sizes) -> dict[str, SystemReport]:
    """Measure every system in turn, round after round, so that a drift of the machine meets all of them.

    A system that fails is told of by name and left out of later rounds; the others go on.
    """
    reports = {e.key: SystemReport(name=e.name, kind=e.kind, store=e.store, tasks=sizes.tasks_for(e)) for e in entries}
    for number in range(1, sizes.rounds + 1):
        for entry in entries:
            report = reports[entry.key]
            if report.failure:
                continue
            begin = time.perf_counter()
            try:
                report.rounds.append(_round(entry.make(), report, sizes.round_trips_for(entry)))
            except Exception as error:  # noqa: BLE001 - a peer may fail in any way; the others are measured
                report.failure = f"{type(error).__name__}: {error}"
            _say(f"round {number}/{sizes.rounds}, {entry.name}: {time.perf_counter() - begin:.0f} s {report.failure}")
    return reports


def _say(text: str) -> None:
    print(text.rstrip(), file=sys.stderr, flush=True)


def _round(system: System, report: SystemReport, round_trips: int) -> Rates:
    found: Rates = {}
    tasks = report.tasks
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            system.start(Path(folder), workers=0)
            found[ONE_BY_ONE] = _rate(system.submit_one_by_one, max(1, tasks // 5))
            found[BULK] = _rate(system.submit_bulk, tasks)
        finally:
            system.stop()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            system.start(Path(folder), workers=WORKERS)
            report.versions = dict(system.versions)
            system.run_all(max(1, tasks // 10))
            found[END_TO_END] = _rate(system.run_all, tasks)
            for name, pause_s in PAUSES:
                times = system.round_trips(round_trips, pause_s=pause_s)
                for percent in PERCENTILES:
                    found[f"{name} p{percent} ms"] = 1e3 * percentile(times, percent)
        finally:
            system.stop()
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` per cent of the others are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _rate(work: Callable[[int], None], number: int) -> float:
    begin = time.perf_counter()
    work(number)
    return number / (time.perf_counter() - begin)


def ratios(ours: SystemReport, theirs: SystemReport) -> Rates:
    """Return the median over the rounds of each figure of ours over theirs."""
    rounds = list(zip(ours.rounds, theirs.rounds, strict=False))
    return {name: statistics.median(a[name] / b[name] for a, b in rounds) for name in (rounds[0][0] if rounds else {})}
