"""Errors of tasks in Sentry: who failed, where, and in the trace of who called.

pip install pynenc sentry-sdk, set SENTRY_DSN, and: python examples/sentry_middleware.py
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import sentry_sdk

from pynenc import Pynenc
from pynenc.errors import CarrierFull
from pynenc.middleware import Ending, Middleware, RunEvent, SubmitEvent


class SentryMiddleware(Middleware):
    """Reports attempts that failed for good, and with `retries=True` also those that another one follows."""

    def __init__(self, *, retries: bool = False) -> None:
        self._reported = (Ending.FAILED, Ending.STOPPED, Ending.RETRY) if retries else (Ending.FAILED, Ending.STOPPED)

    def before_submit(self, submit: SubmitEvent) -> None:
        """Let the trace travel with each call."""
        headers = {"sentry-trace": sentry_sdk.get_traceparent(), "sentry-baggage": sentry_sdk.get_baggage()}
        for call in submit.calls:
            for name, value in headers.items():
                try:
                    if value:
                        call.carry(name, value)
                except CarrierFull:
                    # The call matters more than its trace.
                    pass

    def before_run(self, run: RunEvent) -> None:
        """Give the attempt a scope of its own, in the trace of who called."""
        stack = ExitStack()
        scope = stack.enter_context(sentry_sdk.isolation_scope())
        scope.set_tag("pynenc.task", run.task_id)
        scope.set_tag("pynenc.queue", run.queue)
        scope.set_tag("pynenc.attempt", run.attempt)
        scope.set_context("pynenc", {"invocation": run.invocation_id, "runner": run.runner, "worker": run.worker})
        headers = {
            "sentry-trace": run.carrier.get("sentry-trace", ""),
            "baggage": run.carrier.get("sentry-baggage", ""),
        }
        transaction = sentry_sdk.continue_trace(headers, op="queue.process", name=run.task_id)
        stack.enter_context(sentry_sdk.start_transaction(transaction))
        run.state[self] = stack

    def after_run(self, run: RunEvent) -> None:
        with run.state.pop(self):
            if run.error is not None and run.ending in self._reported:
                sentry_sdk.capture_exception(run.error)

    def flush(self) -> None:
        sentry_sdk.flush(timeout=2.0)


sentry_sdk.init(dsn=os.environ.get("SENTRY_DSN"), traces_sample_rate=1.0)
app = Pynenc(app_id="shop", middleware=[SentryMiddleware()])


@app.task
def charge(order: int) -> None:
    raise ValueError(f"order {order} has no price")


if __name__ == "__main__":
    with app.running():
        invocation = charge(7)
        invocation.wait()
        print("charge", invocation.status.value)
