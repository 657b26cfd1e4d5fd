"""Tracing with OpenTelemetry: one trace over submit, wait, run, retry and child. Needs `pynenc[opentelemetry]`.

    app.add_middleware("opentelemetry")

Spans are made with the API alone: which SDK records them, and where they go, is up to the program, in the module that
defines the app, because every worker process imports that module (and needs an exporter of its own).

* `submit <task>`, a producer span in the trace of the caller; one for all calls that are submitted together.
* `run <task>`, a consumer span for each attempt, child of the producer span and linked to it. So everything is one
  trace, and a backend that lays out long traces badly has the link. What the body submits is below its span.
* `wait`, from asking for outcomes until they are there.

The context travels in the carrier of the call, in the form of the propagators of the program (W3C by default).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

try:
    from opentelemetry import context as otel_context
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as missing:
    from pynenc.errors import ConfigurationError

    raise ConfigurationError("tracing needs opentelemetry-api: pip install 'pynenc[opentelemetry]'") from missing

from pynenc import __version__
from pynenc.errors import CarrierFull
from pynenc.middleware import (
    ClaimedRun,
    EndedRun,
    Ending,
    Middleware,
    RunEvent,
    SettleEvent,
    SubmitEvent,
    WaitEvent,
)

_MOST_ROOTS = 4_096
_MOST_LINKS = 64
_ERRORS = (Ending.FAILED, Ending.RETRY, Ending.CRASHED, Ending.STOPPED)


class OpenTelemetry(Middleware):
    """Spans around submitting, waiting and running.

    Args:
        tracer_provider: instead of the one of the program.
        record_exceptions: whether spans of failed runs have the exception with its message and traceback.
        flush_s: how long a worker process that ends may take to export its last spans, in seconds.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        record_exceptions: bool = True,
        flush_s: float = 3.0,
    ) -> None:
        self._provider = tracer_provider
        self._tracer = trace.get_tracer("pynenc", __version__, tracer_provider)
        self._record_exceptions = record_exceptions
        self._flush_ms = int(flush_s * 1_000)
        self._roots: OrderedDict[str, SpanContext] = OrderedDict()
        """Traces that began with a submission here, by invocation, so that waits find into them."""

    # --- submitting ---

    def before_submit(self, submit: SubmitEvent) -> None:
        first = submit.calls[0]
        tasks = {call.task_id for call in submit.calls}
        attributes = {
            **_messaging("submit", "send", first.queue),
            "pynenc.app": submit.app.app_id,
        }
        if len(tasks) == 1:
            attributes["pynenc.task"] = first.task_id
        if len(submit.calls) == 1:
            attributes["messaging.message.id"] = first.invocation_id
        else:
            attributes["messaging.batch.message_count"] = len(submit.calls)
        begins_trace = not trace.get_current_span().get_span_context().is_valid
        name = f"submit {first.task_id}" if len(tasks) == 1 else "submit several"
        span = self._tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)
        context = trace.set_span_in_context(span)
        carried: dict[str, str] = {}
        propagate.inject(carried, context=context)
        for call in submit.calls:
            for key, value in carried.items():
                try:
                    call.carry(key, value)
                except CarrierFull:
                    # Baggage, which may be larger than all that travels: the trace goes on without it.
                    span.set_attribute("pynenc.not_carried", key)
        submit.state[self] = span, otel_context.attach(context), begins_trace

    def after_submit(self, submit: SubmitEvent) -> None:
        span, token, begins_trace = submit.state.pop(self)
        otel_context.detach(token)
        if submit.error is not None:
            self._failed(span, submit.error)
        else:
            reused = sum(bool(call.reused) for call in submit.calls)
            if reused:
                span.set_attribute("pynenc.reused", reused)
            if begins_trace and span.is_recording():
                for call in submit.calls:
                    self._roots[call.invocation_id] = span.get_span_context()
                while len(self._roots) > _MOST_ROOTS:
                    self._roots.popitem(last=False)
        span.end()

    # --- waiting ---

    def before_wait(self, wait: WaitEvent) -> None:
        context: Context | None = None
        links: list[Link] = []
        if self._roots and not trace.get_current_span().get_span_context().is_valid:
            found = [root for each in wait.invocation_ids[:_MOST_ROOTS] if (root := self._roots.get(each))]
            if found:
                context = trace.set_span_in_context(trace.NonRecordingSpan(found[0]))
                others = {root.span_id: root for root in found if root.trace_id != found[0].trace_id}
                links = [Link(root) for root in list(others.values())[:_MOST_LINKS]]
        attributes: dict[str, Any] = {"pynenc.app": wait.app.app_id, "pynenc.wait.count": wait.count}
        if wait.count == 1:
            attributes["messaging.message.id"] = wait.invocation_ids[0]
        wait.state[self] = self._tracer.start_span(
            "wait", context, kind=SpanKind.INTERNAL, attributes=attributes, links=links
        )

    def after_wait(self, wait: WaitEvent) -> None:
        span = wait.state.pop(self)
        span.set_attribute("pynenc.wait.arrived", wait.arrived)
        if wait.error is not None:
            self._failed(span, wait.error)
        span.end()

    # --- running ---

    def before_run(self, run: RunEvent) -> None:
        attributes = {"pynenc.app": run.app.app_id, "pynenc.worker": run.worker}
        span = self._run_span(run, run.runner, attributes)
        run.state[self] = span, otel_context.attach(trace.set_span_in_context(span, propagate.extract(run.carrier)))

    def after_run(self, run: RunEvent) -> None:
        span, token = run.state.pop(self)
        otel_context.detach(token)
        self._ended(span, run.ending, run.error)

    def after_settle(self, settle: SettleEvent) -> None:
        """Tell of runs that no worker could tell of: it died, or had to be killed."""
        for end in settle.ends:
            if end.accepted and _died_with_its_worker(end):
                span = self._run_span(end.run, settle.runner, {})
                span.set_status(Status(StatusCode.ERROR, end.detail))
                span.set_attribute("error.type", end.ending.value)
                self._ended(span, end.ending, None)

    def _run_span(self, run: ClaimedRun, runner: str, attributes: Mapping[str, Any]) -> Span:
        parent = propagate.extract(run.carrier, context=Context())
        submitted = trace.get_current_span(parent).get_span_context()
        return self._tracer.start_span(
            f"run {run.task_id}",
            parent,
            kind=SpanKind.CONSUMER,
            links=[Link(submitted)] if submitted.is_valid else (),
            attributes={
                **_messaging("run", "process", run.queue),
                "messaging.message.id": run.invocation_id,
                "messaging.client.id": runner,
                "pynenc.task": run.task_id,
                "pynenc.attempt": run.attempt,
                **attributes,
            },
        )

    def _ended(self, span: Span, ending: Ending | None, error: BaseException | None) -> None:
        if ending is not None:
            span.set_attribute("pynenc.ending", ending.value)
        if error is not None and ending in _ERRORS:
            self._failed(span, error)
        span.end()

    def _failed(self, span: Span, error: BaseException) -> None:
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        span.set_attribute("error.type", kind)
        if self._record_exceptions:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, str(error)))
        else:
            span.set_status(Status(StatusCode.ERROR))

    # --- processes ---

    def flush(self) -> None:
        provider: Any = self._provider or trace.get_tracer_provider()
        force_flush = getattr(provider, "force_flush", None)
        if force_flush is not None:
            force_flush(self._flush_ms)


def _messaging(operation: str, kind: str, queue: str) -> dict[str, Any]:
    """Return what the semantic conventions for messaging ask for."""
    return {
        "messaging.system": "pynenc",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue,
    }


def _died_with_its_worker(end: EndedRun) -> bool:
    return end.ending is Ending.CRASHED or (end.ending in (Ending.FAILED, Ending.RETRY) and end.worker == 0)
