"""The judge of storms: one claim that two workers began is excused only if the first was killed before."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pynenc.model.records import Success
from pynenc.testing.simulation.checks import fences
from pynenc.testing.simulation.history import Evidence, History
from tests.faults.execution_log import kill_and_log
from tests.faults.judgement import read_executions

INVOCATION = "0123456789abcdef0123456789abcdef"
FIRST, SECOND = 2**22 + 1, 2**22 + 2
"""Process ids that no system hands out: those of workers that are gone at the end."""


class Log:
    """An execution log, in the order and at the moments that a test says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, pid: int, moment_us: int) -> None:
        self._write(f"start {INVOCATION} 7 1 1 {pid} {moment_us} 0")

    def end(self, pid: int, moment_us: int) -> None:
        self._write(f"end {INVOCATION} 7 1 1 {pid} {moment_us} 42")

    def kill(self, pid: int, moment_us: int) -> None:
        self._write(f"kill - - - - {pid} {moment_us} 0")

    def findings(self, *, others_kill: bool = False) -> list[str]:
        """Return the promises that were broken, as the history checker says."""
        history = History(complete=False)
        history.executions = read_executions(self.path, lambda value: str(value).encode(), others_kill=others_kill)
        evidence = Evidence(
            history=history,
            snapshots=[],
            dump={},
            violations=[],
            findings=[],
            results=[],
            acknowledged=[],
            settled=True,
        )
        return [each.check for each in fences.executions(evidence)]

    def _write(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "executions.log")


def test_a_second_start_after_the_first_worker_was_killed_is_none(log: Log) -> None:
    log.start(FIRST, 1_000)
    log.kill(FIRST, 2_000)
    log.start(SECOND, 3_000)
    log.end(SECOND, 4_000)

    [execution] = read_executions(log.path, lambda value: str(value).encode())

    assert execution.began_us == 3_000
    assert execution.sent == Success(invocation_id=execution.invocation_id, epoch=execution.epoch, result=b"42")
    assert log.findings() == []


def test_a_second_start_before_the_kill_is_a_finding_though_the_first_worker_is_dead_in_the_end(log: Log) -> None:
    log.start(FIRST, 1_000)
    log.start(SECOND, 2_000)
    log.kill(FIRST, 3_000)

    assert log.findings() == ["C4"]


def test_a_second_start_without_any_kill_is_a_finding_though_the_first_worker_is_dead_in_the_end(log: Log) -> None:
    log.start(FIRST, 1_000)
    log.start(SECOND, 2_000)

    assert log.findings() == ["C4"]
    assert log.findings(others_kill=True) == []


def test_a_second_start_in_the_same_worker_is_a_finding(log: Log) -> None:
    log.start(FIRST, 1_000)
    log.start(FIRST, 2_000)

    assert log.findings() == ["C4"]


def test_the_kill_of_one_that_had_the_same_number_long_before_excuses_nothing(log: Log) -> None:
    log.kill(FIRST, 1_000)
    log.start(FIRST, 60_000_000)
    log.start(SECOND, 61_000_000)

    assert log.findings() == ["C4"]


def test_a_kill_is_logged_as_of_a_moment_at_which_the_worker_lived(log: Log) -> None:
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    before_us = time.time_ns() // 1000
    kill_and_log(log.path, worker.pid)
    ended = worker.wait(30)
    kill_and_log(log.path, worker.pid)

    [line] = log.path.read_text().splitlines()
    event, *_, pid, moment, _ = line.split()

    assert ended == -signal.SIGKILL
    assert (event, int(pid)) == ("kill", worker.pid)
    assert before_us <= int(moment) <= time.time_ns() // 1000
