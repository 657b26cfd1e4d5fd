"""The example for Sentry reports through the real SDK; only its transport keeps what it would send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from examples.sentry_middleware import SentryMiddleware
from pynenc import Pynenc, Retry
from pynenc.testing.engine import Engine
from tests.examples.test_examples import ROOT, run_example


class Kept(Transport):
    """Keeps the events that would be sent."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events += [item.payload.json for item in envelope.items if item.payload.json is not None]

    @property
    def errors(self) -> list[Any]:
        return [event for event in self.events if "exception" in event]


@pytest.fixture
def sent() -> Iterator[Kept]:
    """Return what Sentry would get."""
    transport = Kept()
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1", transport=transport, traces_sample_rate=1.0, default_integrations=False
    )
    yield transport
    sentry_sdk.init()


def test_a_failure_is_reported_with_its_task_in_the_trace_of_the_caller(
    pynenc_app: Pynenc, pynenc_engine: Engine, sent: Kept
) -> None:
    @pynenc_app.task(queue="money")
    def charge() -> None:
        raise ValueError("no price")

    pynenc_app.add_middleware(SentryMiddleware())
    with sentry_sdk.start_transaction(name="request") as request:
        invocation = charge()
    pynenc_engine.run_all()

    (event,) = sent.errors
    assert event["exception"]["values"][-1]["value"] == "no price"
    assert event["tags"] == {"pynenc.task": charge.task_id, "pynenc.queue": "money", "pynenc.attempt": 1}
    assert event["contexts"]["pynenc"]["invocation"] == invocation.invocation_id
    assert event["contexts"]["trace"]["trace_id"] == request.trace_id
    assert {each["contexts"]["trace"]["trace_id"] for each in sent.events} == {request.trace_id}


@pytest.mark.parametrize(("retries", "reported"), [(False, [2]), (True, [1, 2])])
def test_attempts_that_are_retried_are_reported_only_if_they_are_to(
    pynenc_app: Pynenc, pynenc_engine: Engine, sent: Kept, retries: bool, reported: list[int]
) -> None:
    @pynenc_app.task(max_retries=1)
    def charge() -> None:
        raise Retry("later")

    pynenc_app.add_middleware(SentryMiddleware(retries=retries))
    charge()
    pynenc_engine.run_all(skip_time=True)

    assert [event["tags"]["pynenc.attempt"] for event in sent.errors] == reported


def test_the_tags_of_one_run_are_not_those_of_the_next(pynenc_app: Pynenc, pynenc_engine: Engine, sent: Kept) -> None:
    @pynenc_app.task
    def charge() -> None:
        sentry_sdk.set_tag("order", "7")

    @pynenc_app.task
    def refund() -> None:
        raise ValueError

    pynenc_app.add_middleware(SentryMiddleware())
    charge()
    refund()
    pynenc_engine.run_all()

    assert "order" not in sent.errors[0]["tags"]


def test_the_example_runs_without_a_place_to_report_to(tmp_path: Path) -> None:
    done = run_example(str(ROOT / "examples/sentry_middleware.py"), folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, "charge failed\n"), done.stderr
