"""Exceptions from outside reach a body, and nothing but a body."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from pynenc.io import Immediate, Op, Request, perform_apart, run
from pynenc.runners.interruption import CancelRequested, Interruptible, TimeIsUp

WAIT_S = 30.0


def test_a_body_is_interrupted() -> None:
    body = Interruptible()
    ready, caught = threading.Event(), threading.Event()

    def spin() -> None:
        try:
            body.open()
            ready.set()
            while not caught.is_set():
                pass
        except TimeIsUp:
            caught.set()
        finally:
            body.shut()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    assert ready.wait(WAIT_S)
    body.interrupt(TimeIsUp)

    assert caught.wait(WAIT_S)
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_one_that_comes_before_the_body_is_raised_when_it_opens() -> None:
    body = Interruptible()
    body.interrupt(CancelRequested)

    with pytest.raises(CancelRequested):
        body.open()

    assert body.shut() is None


def test_one_that_comes_after_the_body_reaches_nobody() -> None:
    body = Interruptible()
    body.open()
    body.shut()

    body.interrupt(TimeIsUp)
    steps = sum(1 for _ in range(10_000))

    assert steps == 10_000
    assert body.shut() is TimeIsUp


def test_one_that_comes_while_the_store_is_asked_is_raised_behind_the_answer() -> None:
    body = Interruptible()
    asked, answers, steps = threading.Event(), threading.Event(), list[str]()

    def ask() -> None:
        asked.set()
        while not answers.is_set():
            pass
        steps.append("answered")

    def work() -> None:
        perform_apart(body.apart)
        try:
            body.open()
            run(_one(Immediate(ask)))
            steps.append("went on")
        except TimeIsUp:
            steps.append("interrupted")
        finally:
            body.shut()
            perform_apart(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert asked.wait(WAIT_S)
    body.interrupt(TimeIsUp)
    answers.set()
    thread.join(WAIT_S)

    assert steps == ["answered", "interrupted"]


def test_a_body_that_goes_on_after_it_was_interrupted_may_ask_the_store() -> None:
    body = Interruptible()
    steps: list[str] = []
    perform_apart(body.apart)
    try:
        body.open()
        try:
            body.interrupt(TimeIsUp)
            while True:
                pass
        except TimeIsUp:
            steps.append("interrupted")
        run(_one(Immediate(lambda: steps.append("cleared up"))))
    finally:
        body.shut()
        perform_apart(None)

    assert steps == ["interrupted", "cleared up"]


def _one(request: Request[object]) -> Op[None]:
    yield request


def test_one_that_was_not_raised_yet_is_taken_back_when_the_body_ends() -> None:
    body = Interruptible()
    survived = 0

    for _ in range(200):
        try:
            body.open()
            interrupter = threading.Thread(target=body.interrupt, args=(TimeIsUp,))
            interrupter.start()
            interrupter.join()
        except TimeIsUp:
            pass
        finally:
            body.shut()
        survived += 1

    assert survived == 200


PROFILED = """
import sys, threading
from pynenc.io import Immediate, Op, Request, perform_apart, run
from pynenc.runners.interruption import Interruptible, TimeIsUp

body = Interruptible()
try:
    body.open()
    interrupter = threading.Thread(target=body.interrupt, args=(TimeIsUp,))
    interrupter.start()
    interrupter.join()
    {then}
except TimeIsUp:
    pass
finally:
    body.shut()

sys.setprofile(lambda *_: None)
print(sum(map(lambda n: n, range(100))))
"""


@pytest.mark.parametrize("then", ["pass", "while True: pass"])
def test_after_an_interruption_a_profiler_can_be_used(then: str) -> None:
    # In a process of its own: what this is about hangs the interpreter beyond the reach of signals.
    program = [sys.executable, "-c", PROFILED.format(then=then)]

    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout == "4950\n"
