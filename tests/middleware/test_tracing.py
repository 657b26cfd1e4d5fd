"""One trace over submit, wait, run, retry and child, on every kind of runner and store, recorded by the real SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pynenc import Pynenc
from pynenc.integrations.opentelemetry import OpenTelemetry
from pynenc.middleware import LoggingContext, Middleware, SubmitEvent
from pynenc.testing.engine import Engine
from tests.middleware import traced_app
from tests.stores import fresh_url

WAIT_S = 60.0
RUNNERS: dict[str, dict[str, object]] = {
    "ThreadRunner": {"max_threads": 2},
    "ProcessRunner": {"num_processes": 2},
    "AsyncRunner": {"concurrency": 4},
}
PLACES = [*((runner, "sqlite") for runner in RUNNERS), ("ProcessRunner", "redis"), ("ProcessRunner", "postgresql")]


# --- in this process ---


@pytest.fixture
def exporter(pynenc_app: Pynenc) -> InMemorySpanExporter:
    """Return where the spans of `pynenc_app` go."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    pynenc_app.add_middleware(OpenTelemetry(tracer_provider=provider))
    return exporter


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Return the spans by the first word of their names; each word may be there once."""
    spans = exporter.get_finished_spans()
    found = {span.name.split(" ")[0]: span for span in spans}
    assert len(found) == len(spans)
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    found: int = span.context.span_id
    return found


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def test_a_call_without_a_trace_begins_one_that_its_run_and_its_wait_belong_to(
    pynenc_app: Pynenc, pynenc_engine: Engine, exporter: InMemorySpanExporter
) -> None:
    @pynenc_app.task(queue="sums")
    def work() -> int:
        return 1

    invocation = work()
    assert invocation.result == 1

    spans = named(exporter)
    submit, run, wait = spans["submit"], spans["run"], spans["wait"]
    assert parent_id(submit) is None
    assert parent_id(run) == parent_id(wait) == span_id(submit)
    assert [link.context.span_id for link in run.links] == [span_id(submit)]
    assert [span.kind.name for span in (submit, run, wait)] == ["PRODUCER", "CONSUMER", "INTERNAL"]
    assert attributes(run) == {
        "messaging.system": "pynenc",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": "sums",
        "messaging.message.id": invocation.invocation_id,
        "messaging.client.id": "InlineRunner",
        "pynenc.app": "test",
        "pynenc.task": work.task_id,
        "pynenc.attempt": 1,
        "pynenc.worker": 1,
        "pynenc.ending": "success",
    }
    assert attributes(submit)["messaging.operation.type"] == "send"
    assert attributes(wait)["pynenc.wait.arrived"] == 1


def test_a_failed_run_has_its_exception(
    pynenc_app: Pynenc, pynenc_engine: Engine, exporter: InMemorySpanExporter
) -> None:
    @pynenc_app.task
    def work() -> None:
        raise ValueError("bad")

    work()
    pynenc_engine.run_all()

    run = named(exporter)["run"]
    assert (run.status.status_code.name, run.status.description) == ("ERROR", "bad")
    assert attributes(run)["error.type"] == "ValueError"
    assert [event.name for event in run.events] == ["exception"]


def test_exceptions_stay_out_of_spans_if_they_are_to(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    pynenc_app.add_middleware(OpenTelemetry(tracer_provider=provider, record_exceptions=False))

    @pynenc_app.task
    def work() -> None:
        raise ValueError("secret")

    work()
    pynenc_engine.run_all()

    run = named(exporter)["run"]
    assert "secret" not in run.to_json()
    assert run.status.status_code.name == "ERROR"


def test_a_refused_submission_is_an_error_of_its_span(
    pynenc_app: Pynenc, pynenc_engine: Engine, exporter: InMemorySpanExporter
) -> None:
    class Gate(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            raise PermissionError("closed")

    @pynenc_app.task
    def work() -> None: ...

    pynenc_app.add_middleware(Gate())
    with pytest.raises(PermissionError):
        work()

    assert attributes(named(exporter)["submit"])["error.type"] == "PermissionError"
    assert not trace.get_current_span().get_span_context().is_valid


def test_baggage_reaches_the_body(pynenc_app: Pynenc, pynenc_engine: Engine, exporter: InMemorySpanExporter) -> None:
    @pynenc_app.task
    def work() -> object:
        return baggage.get_baggage("tenant")

    token = context.attach(baggage.set_baggage("tenant", "blue"))
    invocation = work()
    context.detach(token)

    assert invocation.result == "blue"


def test_baggage_that_does_not_fit_is_left_behind_and_the_trace_goes_on(
    pynenc_app: Pynenc, pynenc_engine: Engine, exporter: InMemorySpanExporter
) -> None:
    @pynenc_app.task
    def work() -> None: ...

    token = context.attach(baggage.set_baggage("big", "x" * 4_090))
    work()
    context.detach(token)
    pynenc_engine.run_all()

    spans = named(exporter)
    assert attributes(spans["submit"])["pynenc.not_carried"] == "baggage"
    assert parent_id(spans["run"]) == span_id(spans["submit"])


def test_a_trace_that_somebody_made_up_does_not_break_the_run(
    pynenc_app: Pynenc, pynenc_engine: Engine, exporter: InMemorySpanExporter
) -> None:
    class Liar(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            submit.calls[0].carry("traceparent", "00-zz-zz-zz")
            submit.calls[0].carry("tracestate", "=" * 600)
            submit.calls[0].carry("baggage", ",;=%%%")

    @pynenc_app.task
    def work() -> int:
        return 1

    pynenc_app.add_middleware(Liar())

    assert work().result == 1
    assert parent_id(named(exporter)["run"]) is None


# --- with runners ---


@pytest.fixture
def trace_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spans.jsonl"
    # What tests before left behind goes nowhere.
    traced_app.provider.force_flush()
    monkeypatch.setenv("TRACE_FILE", str(path))
    return path


@pytest.fixture(params=PLACES, ids="-".join)
def app(request: pytest.FixtureRequest, trace_file: Path, tmp_path: Path) -> Iterator[Pynenc]:
    """Return the traced app on a fresh store."""
    runner, store = request.param
    app = traced_app.app
    app.release_backend()
    app.conf.runner_cls = runner
    for name, value in RUNNERS[runner].items():
        setattr(app.conf, name, value)
    before = app.conf.app_id
    with fresh_url(store, tmp_path) as (url, app_id):
        app.conf.url, app.conf.app_id = url, app_id
        yield app
        app.release_backend()
    app.conf.app_id = before


def read_spans(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def call_and_wait(marker: str) -> list[str]:
    return traced_app.parent(marker).get(timeout=WAIT_S)


def await_call(marker: str) -> list[str]:
    async def main() -> list[str]:
        return await (await traced_app.async_parent.acall(marker)).async_result(timeout=WAIT_S)

    return asyncio.run(main())


@pytest.mark.parametrize("call", [call_and_wait, await_call])
def test_one_trace_holds_client_parent_child_and_retry(
    app: Pynenc, trace_file: Path, tmp_path: Path, call: Callable[[str], list[str]]
) -> None:
    with (
        app.running(drain_timeout=20),
        traced_app.tracer.start_as_current_span("request") as root,
        LoggingContext.bind(request_id="r-17"),
    ):
        value = call(str(tmp_path / "marker"))
    traced_app.provider.force_flush()

    assert sorted(value) == ["1 r-17", "2 r-17", "3 r-17"]
    spans = read_spans(trace_file)
    assert {span["trace"] for span in spans} == {f"{root.get_span_context().trace_id:032x}"}
    name = "parent" if call is call_and_wait else "async_parent"
    runs = {span["id"]: span for span in spans if span["name"].startswith("run")}
    submits = {span["id"]: span for span in spans if span["name"].startswith("submit")}
    attempts = sorted((run["name"], run["attributes"]["pynenc.attempt"]) for run in runs.values())
    assert attempts == [(f"run {name}", 1)] * (name == "async_parent") + [
        ("run flaky", 1), ("run flaky", 2), ("run leaf", 1), ("run leaf", 1), ("run leaf", 1),
    ] + [(f"run {name}", 1)] * (name == "parent")  # fmt: skip
    # Each run is below the submission of its call, each submission but the first below the run that made it.
    assert all(runs[each]["parent"] in submits and runs[each]["links"] == [runs[each]["parent"]] for each in runs)
    tops = [span for span in submits.values() if span["parent"] not in runs]
    assert [span["name"] for span in tops] == [f"submit {name}"]
    assert {span["parent"] for span in tops} == {f"{root.get_span_context().span_id:016x}"}
    failed = [run for run in runs.values() if run["status"] == "error"]
    assert [(run["name"], run["attributes"]["pynenc.ending"], run["events"]) for run in failed] == [
        ("run flaky", "retry", ["exception"])
    ]
    batch = next(span for span in submits.values() if span["attributes"].get("messaging.batch.message_count") == 2)
    assert sum(run["parent"] == batch["id"] for run in runs.values()) == 2
    waits = [span for span in spans if span["name"] == "wait"]
    assert {span["parent"] for span in waits} <= {*runs, f"{root.get_span_context().span_id:016x}"}
    assert len(waits) >= 4
    if app.conf.runner_cls == "ProcessRunner":
        assert len({span["pid"] for span in spans}) >= 2


@pytest.mark.faults
@pytest.mark.parametrize("app", [("ProcessRunner", "sqlite")], indirect=True)
def test_a_run_whose_worker_died_is_in_the_trace(app: Pynenc, trace_file: Path, tmp_path: Path) -> None:
    with app.running(drain_timeout=20):
        assert traced_app.leave_once(str(tmp_path / "marker")).get(timeout=WAIT_S) == "second run"
    traced_app.provider.force_flush()

    spans = read_spans(trace_file)
    runs = sorted((span["attributes"]["pynenc.ending"], span["status"]) for span in spans if "run" in span["name"])
    assert runs == [("crashed", "error"), ("success", "unset")]
    assert len({span["trace"] for span in spans}) == 1
