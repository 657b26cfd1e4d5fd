"""The runners of the soak, and what is done to them."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from pynenc.runners.vitals import read_vitals
from tests.faults.processes import RunnerProcess, wait_until_gone

LEASE_S = 1.0
_DRAIN_S = 5.0
_PROCESSES = ("--runner", "process", "--processes", "2")
_PLAIN = ("--queues", "default")
KINDS: tuple[tuple[str, ...], ...] = (
    _PROCESSES,
    ("--runner", "thread", "--concurrency", "4", *_PLAIN),
    ("--runner", "async", "--concurrency", "50", *_PLAIN),
)


class Footprint(Struct, frozen=True):
    """What the control loop of a runner uses."""

    memory_bytes: int
    descriptors: int
    threads: int


class Fleet:
    """One runner that stays, whose workers are killed, and one of each kind that come and go.

    Args:
        environment: of every runner.
        folder: for their logs.
        rng: decides whom it meets.
    """

    def __init__(self, environment: dict[str, str], folder: Path, rng: random.Random) -> None:
        self._environment = environment
        self._log = folder / "runners.log"
        self._rng = rng
        self._timers: list[threading.Timer] = []
        self._ending: list[threading.Thread] = []
        self._seen: set[int] = set()
        self.bad_exits: list[str] = []
        self.faults: Counter[str] = Counter()
        self._steady = self._start(_PROCESSES)
        self._others = [self._start(kind) for kind in KINDS]

    def _start(self, kind: tuple[str, ...]) -> RunnerProcess:
        options = (*kind, "--drain-timeout", str(_DRAIN_S))
        runner = RunnerProcess("tests.soak.soak_app", *options, environment=self._environment, log=self._log)
        self._seen.add(runner.pid)
        return runner

    # --- faults ---

    def strike(self) -> None:
        """Do something to one of them."""
        faults: dict[str, tuple[int, Callable[[], None]]] = {
            "worker killed": (10, self._kill_worker),
            "runner killed": (3, self._kill_runner),
            "runner stopped for two leases": (3, self._stop_runner),
            "deployed": (5, lambda: self._deploy(signals=1)),
            "told to end twice": (2, lambda: self._deploy(signals=2)),
        }
        name = self._rng.choices(list(faults), [weight for weight, _ in faults.values()])[0]
        faults[name][1]()
        self.faults[name] += 1

    def _kill_worker(self) -> None:
        workers = self._rng.choice([self._steady, self._others[0]]).workers
        self._seen.update(workers)
        if workers:
            _signal(self._rng.choice(workers), signal.SIGKILL)

    def _kill_runner(self) -> None:
        index = self._rng.randrange(len(KINDS))
        self._seen.update(self._others[index].kill())
        self._others[index] = self._start(KINDS[index])

    def _stop_runner(self) -> None:
        pid = self._rng.choice(self._others).pid
        _signal(pid, signal.SIGSTOP)
        timer = threading.Timer(2 * LEASE_S, _signal, (pid, signal.SIGCONT))
        timer.start()
        self._timers.append(timer)

    def _deploy(self, *, signals: int) -> None:
        """Start the next release beside the old one, which drains; a second signal ends it at once."""
        index = self._rng.randrange(len(KINDS))
        old = self._others[index]
        self._seen.update(old.workers)
        self._others[index] = self._start(KINDS[index])
        _signal(old.pid, signal.SIGCONT)
        for _ in range(signals - 1):
            _signal(old.pid, signal.SIGTERM)
        thread = threading.Thread(target=self._end, args=(old, " ".join(KINDS[index]), signals))
        thread.start()
        self._ending.append(thread)

    def _end(self, runner: RunnerProcess, kind: str, signals: int) -> None:
        code = runner.stop()
        # -15: it was told to end before it had begun; 143: the second signal came before it had ended.
        if code not in (0, -signal.SIGTERM, *([128 + signal.SIGTERM] if signals > 1 else [])):
            self.bad_exits.append(f"a runner ({kind}) ended with exit code {code}")

    # --- rest ---

    def calm(self) -> None:
        """Let stopped runners go on and wait for those that end."""
        for timer in self._timers:
            timer.join()
        for thread in self._ending:
            thread.join()
        self._timers, self._ending = [], []
        for runner in (self._steady, *self._others):
            self._seen.update(runner.workers)

    def footprint(self) -> Footprint:
        """Return what the control loop of the runner that stays uses now."""
        pid = self._steady.pid
        vitals = read_vitals(pid)
        assert vitals is not None, "the runner that nobody touched is gone"
        return Footprint(vitals.memory_bytes, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))

    def stop(self) -> list[int]:
        """End all runners; return the processes that are left of any that ever ran."""
        self.calm()
        for runner, kind in zip((self._steady, *self._others), (_PROCESSES, *KINDS), strict=True):
            self._seen.update(runner.workers)
            self._end(runner, " ".join(kind), 1)
        return wait_until_gone(sorted(self._seen))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
