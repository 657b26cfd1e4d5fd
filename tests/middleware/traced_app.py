"""An app that is traced: every process that imports it appends its spans to the file that TRACE_FILE names, if any."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from pynenc import Pynenc
from pynenc.integrations.opentelemetry import OpenTelemetry
from pynenc.logs.context import current_fields
from pynenc.middleware import LoggingContext


class FileExporter(SpanExporter):
    """Appends a line of JSON for each span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if "TRACE_FILE" in os.environ:
            with open(os.environ["TRACE_FILE"], "a", encoding="utf-8") as file:
                file.write("".join(json.dumps(_facts(span)) + "\n" for span in spans))
        return SpanExportResult.SUCCESS


def _facts(span: ReadableSpan) -> dict[str, Any]:
    return {
        "name": span.name.replace(f"{__name__}.", ""),
        "kind": span.kind.name.lower(),
        "trace": f"{span.context.trace_id:032x}",
        "id": f"{span.context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else None,
        "links": [f"{link.context.span_id:016x}" for link in span.links],
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name.lower(),
        "events": [event.name for event in span.events],
        "pid": os.getpid(),
    }


# As long a pause as there can be: what is seen was flushed.
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(FileExporter(), schedule_delay_millis=3_600_000))
tracer = trace.get_tracer("test", tracer_provider=provider)

app = Pynenc(app_id="traced", middleware=[LoggingContext, OpenTelemetry(tracer_provider=provider)])


@app.task
def leaf(n: int) -> str:
    return f"{n} {current_fields().get('request_id')}"


@app.task(max_retries=1, retry_for=(OSError,))
def flaky(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("the first time")
    return leaf(1).result


@app.task
def parent(marker: str) -> list[str]:
    return [flaky(marker).result, *leaf.parallelize([2, 3]).results]


@app.task
async def async_parent(marker: str) -> list[str]:
    group = await leaf.aparallelize([2, 3])
    return [await (await flaky.acall(marker)), *[value async for value in group.async_results()]]


@app.task
def leave_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return "second run"
