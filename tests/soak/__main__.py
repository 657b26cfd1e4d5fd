"""`python -m tests.soak`: everything at once, for long, and nothing may be wrong or left over at the end.

Rounds of about half a minute: work of every kind is submitted while workers and runners are killed, stopped, replaced
and told to end; then everything comes to rest and is judged: each piece of work ended as it must, the history checker
finds nothing, the store holds nothing any more once it is emptied. At the end no process is left, and the control loop
of the runner that stayed uses no more memory, descriptors or threads than before.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pynenc.io import run
from pynenc.model.ids import parse_id
from pynenc.model.status import InvocationStatus
from pynenc.testing.simulation.checker import check
from pynenc.testing.simulation.history import Evidence, History
from tests.faults.judgement import everything, read_executions, unexecuted
from tests.soak.fleet import LEASE_S, Fleet, Footprint
from tests.soak.places import Place, place_of
from tests.soak.soak_app import app
from tests.soak.workload import Submitted, submit, wrong_end

_AT_ONCE = 120
_ROUND_S = 25.0
_SETTLING_S = 180.0
_MIB = 2**20
# Killing at random must not use up what a task may take down.
_MAX_CRASHES = 1_000


def main() -> None:
    """Soak one store; exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "redis", "postgresql"), default="sqlite")
    parser.add_argument("--minutes", type=float, default=15.0, help="how long it may submit  [15]")
    parser.add_argument("--seed", type=int, default=None, help="of the faults and the work")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    print(f"soak of {given.store} for {given.minutes:g} minutes, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pynenc-soak-") as folder, place_of(given.store, Path(folder)) as place:
        wrong = Soak(place, Path(folder), random.Random(seed)).run(given.minutes)
    for each in wrong:
        print(f"WRONG: {each}")
    print("something was wrong" if wrong else "nothing was wrong")
    sys.exit(1 if wrong else 0)


class Soak:
    """One soak.

    Args:
        place: the store.
        folder: for logs and markers.
        rng: decides everything that is left open.
    """

    def __init__(self, place: Place, folder: Path, rng: random.Random) -> None:
        self._place = place
        self._rng = rng
        self._log = folder / "executions.log"
        markers = folder / "markers"
        markers.mkdir()
        self._environment = {
            "PYNENC_URL": place.url,
            "PYNENC__LEASE_SECONDS": str(LEASE_S),
            "PYNENC__WORKER_MAX_TASKS": "400",
            "PYNENC__WORKER_MEMORY_LIMIT": "90MB",
            "PYNENC__WORKER_HARD_MEMORY_LIMIT": "200MB",
            "PYNENC__LOGGING_LEVEL": "warning",
            "FAULT_LOG": str(self._log),
            "SOAK_MARKERS": str(markers),
        }
        self._app = app
        app.conf.url = place.url
        app.conf.max_crashes = _MAX_CRASHES
        self._fleet = Fleet(self._environment, folder, rng)
        self._kinds: Counter[str] = Counter()
        self._invocations = 0
        self._footprints: list[Footprint] = []

    def run(self, minutes: float) -> list[str]:
        """Work for so long and return what was wrong."""
        wrong: list[str] = []
        until_s = time.monotonic() + 60 * minutes
        left_over: dict[str, int] | None = None
        try:
            while time.monotonic() < until_s and len(wrong) < 20:
                wrong += self._round(min(until_s, time.monotonic() + _ROUND_S))
                sizes = self._place.sizes()
                wrong += _grown(left_over, sizes)
                left_over = left_over or sizes
                self._tell()
        finally:
            survivors = self._fleet.stop()
            self._app.close()
        wrong += [f"process {pid} is left" for pid in survivors] + self._fleet.bad_exits
        return wrong + _not_flat(self._footprints)

    def _round(self, until_s: float) -> list[str]:
        self._log.write_text("")
        work: list[Submitted] = []
        while time.monotonic() < until_s:
            recent = work[-_AT_ONCE:]
            if sum(not each.invocation.status.is_final() for each in recent) < _AT_ONCE // 2:
                work += [submit(self._rng, len(work) + n) for n in range(_AT_ONCE // 2)]
            # How long they work before the next fault is the randomness of this run.
            time.sleep(self._rng.uniform(0.0, 1.0))
            self._fleet.strike()
        for each in work:
            if each.kind == "cancelled":
                each.invocation.cancel()
        self._fleet.calm()
        self._kinds.update(each.kind for each in work)
        wrong = self._judge(work)
        self._footprints.append(self._fleet.footprint())
        self._app.purge()
        return wrong

    def _judge(self, work: list[Submitted]) -> list[str]:
        deadline_s = time.monotonic() + _SETTLING_S
        ends = [wrong_end(each, max(0.1, deadline_s - time.monotonic())) for each in work]
        backend = self._app.backend
        history = History(complete=False)
        # Runners here end workers themselves, for the memory that they use.
        history.executions = read_executions(
            self._log, lambda value: run(self._app.payloads.encode_value(value)), others_kill=True
        )
        ids = [parse_id(each.invocation.invocation_id) for each in work]
        snapshots = everything(backend)
        self._invocations += len(snapshots)
        evidence = Evidence(
            history=history,
            snapshots=snapshots,
            dump=run(backend.dump()),
            violations=run(backend.orchestrator.verify()),
            findings=[],
            results=[outcome for outcome in run(backend.state_backend.outcomes(ids)) if outcome is not None],
            acknowledged=ids,
            settled=True,
        )
        succeeded = [
            each for each in snapshots if each.outcome is not None and each.outcome.status is InvocationStatus.SUCCESS
        ]
        findings = [*check(evidence), *unexecuted(history, succeeded)]
        return [end for end in ends if end] + [str(each) for each in findings]

    def _tell(self) -> None:
        last = self._footprints[-1]
        print(
            f"{sum(self._kinds.values()):,} submitted, {self._invocations:,} invocations, "
            f"{sum(self._fleet.faults.values())} faults; control loop {last.memory_bytes / _MIB:.1f} MiB, "
            f"{last.descriptors} descriptors, {last.threads} threads",
            flush=True,
        )


def _grown(before: dict[str, int] | None, now: dict[str, int]) -> list[str]:
    if before is None:
        return []
    return [
        f"{name}: {count} are left in the emptied store, {before.get(name, 0)} after the first round"
        for name, count in now.items()
        if count > before.get(name, 0)
    ]


def _not_flat(footprints: list[Footprint]) -> list[str]:
    """Compare the last third of the run with the third before; the first one is warming up."""
    third = len(footprints) // 3
    if third < 2:
        print("too short a run to tell whether the control loop is flat")
        return []
    middle, last = footprints[third : 2 * third], footprints[-third:]
    wrong = []
    for name, slack in (("memory_bytes", 2 * _MIB), ("descriptors", 2), ("threads", 1)):
        was, became = (statistics.median(getattr(each, name) for each in part) for part in (middle, last))
        if became > was + slack:
            wrong.append(f"the control loop grew: {name} from {was:,.0f} to {became:,.0f}")
    return wrong


if __name__ == "__main__":
    main()
