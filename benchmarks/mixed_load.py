"""A mixed load: how much longer than the ideal schedule it takes. `python -m benchmarks.mixed_load`

Nine of ten bodies take 1 ms, one takes 500 ms, in random order. A runner that claims or sends ahead without care
lets short ones wait behind long ones while other slots are idle.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from random import Random

from msgspec import Struct

from benchmarks.mixed_load_app import app, doze

SHORT_S, LONG_S = 0.001, 0.5
LONG_SHARE = 0.1
SLOTS = 4
_SETTINGS: dict[str, dict[str, object]] = {
    "ProcessRunner": {"num_processes": SLOTS},
    "HybridRunner": {"num_processes": 2, "concurrency": SLOTS // 2},
    "ThreadRunner": {"max_threads": SLOTS},
}


class MixedLoad(Struct, frozen=True):
    """What one run took."""

    runner: str
    tasks: int
    took_s: float
    ideal_s: float
    """Of bodies that follow each other without a pause, on all slots to the end."""

    @property
    def ratio(self) -> float:
        return self.took_s / self.ideal_s


def measure(runner: str, tasks: int, *, seed: int = 1) -> MixedLoad:
    """Submit the load to a warm runner of four slots on an SQLite store, and wait for it."""
    rng = Random(seed)
    long = round(tasks * LONG_SHARE)
    lengths = [LONG_S] * long + [SHORT_S] * (tasks - long)
    rng.shuffle(lengths)
    with tempfile.TemporaryDirectory() as folder:
        app.release_backend()
        app.conf.url = f"sqlite:///{Path(folder) / 'mixed.db'}"
        app.conf.runner_cls = runner
        for name, value in _SETTINGS[runner].items():
            setattr(app.conf, name, value)
        with app.running():
            list(doze.parallelize([(SHORT_S,)] * 200).results)
            begin_s = time.perf_counter()
            list(doze.parallelize([(length_s,) for length_s in lengths]).results)
            took_s = time.perf_counter() - begin_s
        app.release_backend()
    return MixedLoad(runner, tasks, took_s, ideal_s(lengths))


def ideal_s(lengths: list[float]) -> float:
    """Return the time that the bodies need on all slots, each begun as soon as one is free, the longest first."""
    ends = [0.0] * SLOTS
    for length_s in sorted(lengths, reverse=True):
        earliest = ends.index(min(ends))
        ends[earliest] += length_s
    return max(ends)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixed_load", description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--runner", choices=sorted(_SETTINGS), action="append")
    given = parser.parse_args()
    for runner in given.runner or _SETTINGS:
        found = measure(runner, given.tasks)
        print(f"{runner:14} {found.tasks} tasks: {found.took_s:.2f} s, ideal {found.ideal_s:.2f} s: {found.ratio:.2f}x")


if __name__ == "__main__":
    main()
