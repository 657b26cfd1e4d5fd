"""Processes that contend for the gates of one store, and what they wrote down of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Claim, Exchange, SessionInfo, SessionKind, Submission
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend

_LEASE_US = 60_000_000
_PATIENCE_S = 100.0


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, by the monotonic clock of the machine."""

    invocation_id: InvocationId
    process: int
    start_ns: int
    end_ns: int
    """When it ended or was killed."""


class Arena:
    """A store and the processes on it."""

    def __init__(self, backend: Backend, url: str, app_id: str, records: Path) -> None:
        self.backend = backend
        self._place = (url, app_id)
        self._records = records
        self._processes: list[subprocess.Popen[str]] = []
        self._killed_ns: dict[int, int] = {}

    def __enter__(self) -> Arena:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    # --- the store ---

    def submit(self, number: int, **fields: Any) -> list[InvocationId]:
        """Submit so many that are alike, in one unit; return their ids in order."""
        values = {"task_id": "contended", "arguments": b"", **fields}
        items = [Submission(invocation_id=new_invocation_id(), **values) for _ in range(number)]
        run(self.backend.orchestrator.submit(items))
        return [item.invocation_id for item in items]

    def claim(self, want: int) -> tuple[Claim, ...]:
        """Claim in a session of the test's own."""
        info = SessionInfo(kind=SessionKind.RUNNER, name="looks", host="", pid=0)
        session: SessionId = run(self.backend.orchestrator.open_session(info, lease_us=_LEASE_US))
        return run(self.backend.orchestrator.exchange(Exchange(session=session, want=want))).claims

    def starts_us(self, ids: Sequence[InvocationId]) -> list[int]:
        """Return when the store let each of these start the last time, in order."""
        outcomes = run(self.backend.state_backend.outcomes(ids))
        return sorted(outcome.claimed_at_us for outcome in outcomes if outcome and outcome.claimed_at_us is not None)

    def check_everything_is_done(self, ids: Sequence[InvocationId]) -> None:
        """All succeeded, nobody is inside a gate any more, and nothing is unsound."""
        statuses = run(self.backend.state_backend.statuses(ids))
        assert set(statuses) == {InvocationStatus.SUCCESS}, statuses
        assert run(self.backend.orchestrator.verify()) == []
        left = run(self.backend.dump()).get("gates", {})
        assert not {"lanes", "holders", "resumes", "flows"} & left.keys(), left

    # --- processes ---

    def hammer(self, number: int, total: int, *, lease_us: int = _LEASE_US) -> None:
        """Let so many processes work until `total` invocations have ended."""
        contenders = [self._start(lease_us, "claim", str(total)) for _ in range(number)]
        for contender in contenders:
            assert contender.wait(timeout=_PATIENCE_S) == 0

    def holders(self, number: int, *, lease_us: int) -> list[subprocess.Popen[str]]:
        """Return so many processes that have claimed one invocation each and keep it."""
        processes = [self._start(lease_us, "hold") for _ in range(number)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "holds\n"
        return processes

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End it as `kill -9` does."""
        process.kill()
        process.wait()
        self._killed_ns[process.pid] = time.monotonic_ns()

    def _start(self, lease_us: int, *what: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-m", "tests.gates.contender", *self._place, str(self._records), str(lease_us)]
        process = subprocess.Popen([*arguments, *what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    # --- what happened ---

    def runs(self) -> list[Run]:
        """Return every run by its start; one without an end lasted until its process was killed."""
        open_runs: dict[tuple[str, int], int] = {}
        runs = []
        for line in self._records.read_text().splitlines():
            what, invocation, process, instant = line.split()
            key = (invocation, int(process))
            if what == "start":
                open_runs[key] = int(instant)
            else:
                runs.append(_run(key, open_runs.pop(key), int(instant)))
        runs += [_run(key, start_ns, self._killed_ns[key[1]]) for key, start_ns in open_runs.items()]
        return sorted(runs, key=lambda each: each.start_ns)


def _run(key: tuple[str, int], start_ns: int, end_ns: int) -> Run:
    return Run(InvocationId(bytes.fromhex(key[0])), key[1], start_ns, end_ns)


def most_at_once(runs: Sequence[Run]) -> int:
    """Return how many ran at the fullest instant."""
    changes = sorted([(each.start_ns, 1) for each in runs] + [(each.end_ns, -1) for each in runs])
    most = inside = 0
    for _, change in changes:
        inside += change
        most = max(most, inside)
    return most


def closest_us(starts_us: Sequence[int], apart: int) -> int:
    """Return the shortest time in which `apart` + 1 starts came."""
    return min(later - earlier for earlier, later in zip(starts_us, starts_us[apart:], strict=False))
