"""The runner as a process of its own, and the worker processes below it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from examples.census.tasks import app, census_file
from pynenc import InvocationStatus

_STOP_SECONDS = 30


@contextmanager
def runner_process(processes: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start `pynenc runner start` with some worker processes; stop it as an operator would, with SIGTERM."""
    app_of_module = "examples.census.tasks"
    options = ["--runner", "process", "--processes", str(processes)]
    command = [sys.executable, "-m", "pynenc", "--app", app_of_module, "runner", "start", *options]
    # What it logs of single tasks would tear the progress bar; that a worker died is worth a line.
    environment = {"PYNENC__LOGGING_LEVEL": "warning", **os.environ}
    runner = subprocess.Popen(command, env=environment)
    try:
        yield runner
    finally:
        runner.terminate()
        try:
            runner.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            runner.kill()
            runner.wait()


def kill_a_worker(runner_pid: int) -> tuple[int, datetime] | None:
    """Kill one worker process the hard way, one that runs something if that is known; return which and when."""
    workers = children_of(runner_pid)
    if len(workers) < 2:
        return None
    busy = [pid for pid in _busy_workers() if pid in workers]
    victim = busy[0] if busy else workers[len(workers) // 2]
    at = datetime.now(UTC)
    os.kill(victim, signal.SIGKILL)
    return victim, at


def children_of(pid: int) -> list[int]:
    """Return the processes that `pid` started and that live, by age."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in listed.splitlines())
    return sorted(int(child) for child, parent, state in rows if int(parent) == pid and "Z" not in state)


def _busy_workers() -> list[int]:
    """Return the worker processes of tasks that have run for long enough to be reported as running."""
    running = app.orchestrator.get_existing_invocations(census_file, [InvocationStatus.RUNNING])
    return [entry.worker for id_ in running for entry in app.get_invocation(id_).history[-1:] if entry.worker]
