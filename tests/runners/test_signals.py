"""Signals reach a runner wherever its main thread is, and it ends even if its loop does not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import logging, socket, sys
from pynenc.runners import signals

logging.basicConfig(level="INFO")
signals._OVERTIME_S, signals._KILL_S = {overtime_s}, {kill_s}
inside, outside = socket.socketpair()


def drain():
    print("drain", flush=True)
    outside.send(b"x" if {obeys} else b"")


def kill():
    print("kill", flush=True)


with signals.StopSignals(drain, kill, grace_s=0.0) as given:
    print("ready", flush=True)
    # Blocks in C, as a call to a store does.
    inside.recv(1)
print("over", given.killed_by, flush=True)
"""
NEVER_S = 600


class Program:
    """A program whose main thread blocks, and what it prints."""

    def __init__(self, *, obeys: bool, overtime_s: float = NEVER_S, kill_s: float = NEVER_S) -> None:
        script = SCRIPT.format(obeys=obeys, overtime_s=overtime_s, kill_s=kill_s)
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.wait_for("ready")

    def wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == line

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and its log."""
        _, log = self._process.communicate(timeout=60)
        return self._process.returncode, log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_followed_while_the_main_thread_blocks(number: signal.Signals) -> None:
    program = Program(obeys=True)

    program.send(number)
    program.wait_for("drain")
    program.wait_for("over None")

    assert program.end()[0] == 0


def test_a_drain_that_does_not_end_is_ended_by_force() -> None:
    program = Program(obeys=False, overtime_s=0.1)

    program.send(signal.SIGTERM)
    code, log = program.end()

    assert code == 128 + signal.SIGTERM
    assert "ends by force" in log


def test_a_kill_that_does_not_end_is_ended_by_force() -> None:
    program = Program(obeys=False, kill_s=0.1)

    program.send(signal.SIGTERM)
    program.wait_for("drain")
    program.send(signal.SIGINT)
    program.wait_for("kill")
    code, log = program.end()

    assert code == 128 + signal.SIGINT
    assert "ends by force" in log


def test_a_third_signal_ends_the_process_at_once() -> None:
    program = Program(obeys=False)

    program.send(signal.SIGTERM)
    program.wait_for("drain")
    program.send(signal.SIGTERM)
    program.wait_for("kill")
    program.send(signal.SIGTERM)

    assert program.end()[0] == 128 + signal.SIGTERM


SWALLOWING = """
import os, signal, threading
from pynenc.runners import signals

drained = threading.Event()
with signals.exits_when_told():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(30)
    except SystemExit:
        pass
    with signals.StopSignals(drained.set, drained.set, grace_s=30):
        print(drained.wait(30), flush=True)
"""


def test_a_signal_that_went_under_while_a_runner_starts_is_followed_by_its_loop() -> None:
    ended = subprocess.run([sys.executable, "-c", SWALLOWING], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout == "True\n"
