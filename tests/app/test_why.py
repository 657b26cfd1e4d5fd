"""`why`: each reason an invocation is not running is created for real and expected by its sentence."""

from __future__ import annotations

import getpass
import socket
import threading
import time
from collections.abc import Callable

import pytest

from pynenc import Pynenc
from pynenc.errors import InvocationNotFound
from pynenc.invocation import InvocationStatus
from pynenc.testing.engine import Engine

Attach = Callable[[Pynenc], Engine]


@pytest.fixture
def engine(pynenc_engine: Engine) -> Engine:
    return pynenc_engine


@pytest.fixture
def app(engine: Engine) -> Pynenc:
    return engine.app


def test_no_runner_listens_on_its_queue(app: Pynenc) -> None:
    @app.task(queue="mail")
    def work() -> None: ...

    assert work().why().endswith("is not run because no runner listens on queue 'mail'.")


def test_not_before_a_time(app: Pynenc) -> None:
    @app.task(delay=3600)
    def work() -> None: ...

    why = work().why()

    assert "does not run before 20" in why
    assert "(in 60 min)" in why


def test_comes_after_others(app: Pynenc) -> None:
    @app.task
    def work() -> None: ...

    first = work()
    why = work.after(first)().why()

    assert f"comes after {work.task_id} {first.invocation_id} (registered)." in why


def test_waits_for_others_without_a_slot(app: Pynenc, engine: Engine) -> None:
    @app.task(delay=60)
    def child() -> None: ...

    @app.task
    def parent() -> None:
        child().wait()

    invocation = parent()
    engine.run_all()

    why = invocation.why()
    assert f"is waiting for {child.task_id} {invocation.children[0].invocation_id} (registered) since" in why
    assert "it holds no slot of runner InlineRunner." in why


def test_retries_at_a_time_after_an_attempt(app: Pynenc, engine: Engine) -> None:
    @app.task(max_retries=3, retry_delay=100, retry_jitter="none", retry_for=(OSError,))
    def flaky() -> None:
        raise OSError("down")

    invocation = flaky()
    engine.run_all()

    why = invocation.why()
    assert "failed in attempt 1 and retries at 20" in why
    assert "(in 100.0 s)" in why


def test_cancelled_by_somebody(app: Pynenc) -> None:
    @app.task
    def work() -> None: ...

    invocation = work()
    invocation.cancel(reason="cancelled by the night shift")

    assert "was cancelled at 20" in invocation.why()
    assert invocation.why().endswith(": cancelled by the night shift.")


def test_expired(app: Pynenc, engine: Engine) -> None:
    @app.task(expires=10)
    def work() -> None: ...

    invocation = work()
    engine.advance(11)

    assert "expired at 20" in invocation.why()


def test_failed_and_succeeded(app: Pynenc, engine: Engine) -> None:
    @app.task
    def work(x: int) -> float:
        return 1 / x

    good, bad = work(1), work(0)
    engine.run_all()

    assert "succeeded at 20" in good.why()
    assert "failed at 20" in bad.why()


def test_a_paused_queue(app: Pynenc) -> None:
    @app.task
    def work() -> None: ...

    app.pause("default", by="anna@ops", reason="the provider is down")
    app.pause("default")

    why = work().why()
    assert "is not run because queue 'default' is paused by anna@ops since 20" in why
    assert why.endswith("): the provider is down.")


def test_a_queue_that_is_paused_without_a_name_names_user_and_machine(app: Pynenc) -> None:
    @app.task
    def work() -> None: ...

    app.pause()

    assert f"is paused by {getpass.getuser()}@{socket.gethostname()} since 20" in work().why()


def test_all_slots_of_the_runner_are_busy(tmp_path: object) -> None:
    app = Pynenc("memory://", app_id="busy", config_values={"min_threads": 1, "max_threads": 1, "prefetch": False})
    running, finish = threading.Event(), threading.Event()

    @app.task
    def hold() -> None:
        running.set()
        finish.wait(30)

    with app.running():
        held = hold()
        assert running.wait(30)
        waiting = hold()

        why, holding = waiting.why(), held.why()
        finish.set()

    assert "because all 1 slots of runner ThreadRunner@" in why
    assert "runner ThreadRunner@" in holding


def test_an_unknown_invocation_is_an_error(app: Pynenc) -> None:
    with pytest.raises(InvocationNotFound):
        app.get_invocation("0192f0c1-0000-7000-8000-000000000000")


def test_as_many_bodies_of_the_runner_wait_as_may() -> None:
    app = Pynenc("memory://", app_id="crowded", config_values={"max_threads": 1, "max_parked": 1})

    @app.task
    def child() -> None: ...

    @app.task
    def parent() -> None:
        child.options(delay=3600)().wait()

    with app.running(drain_timeout=0):
        first = parent()
        _wait_for(lambda: first.status is InvocationStatus.PAUSED)
        waiting, other = first.why(), child().why()

    crowd = "has as many bodies that wait for others as it may (1, max_parked=1)"
    assert f", which {crowd}." in waiting
    assert f" {crowd}: until some of them go on, only what these need is run; nothing is ahead of it." in other


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.01)
