"""What type checkers see of middleware. Checked by mypy and pyright in `test_typing.py`, never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from pynenc import Pynenc
from pynenc.call import Arguments
from pynenc.integrations.opentelemetry import OpenTelemetry
from pynenc.integrations.prometheus import Prometheus
from pynenc.middleware import (
    ClaimedRun,
    ClaimEvent,
    Ending,
    LoggingContext,
    Middleware,
    RunEvent,
    SettleEvent,
    SubmitEvent,
    WaitEvent,
)


class Complete(Middleware):
    """Overrides hooks of every kind, plain and awaiting."""

    def before_submit(self, submit: SubmitEvent) -> None:
        for call in submit.calls:
            assert_type(call.task_id, str)
            assert_type(call.arguments, Arguments)
            assert_type(call.carried, Mapping[str, str])
            call.carry("key", "value")

    async def abefore_submit(self, submit: SubmitEvent) -> None:
        self.before_submit(submit)

    def after_wait(self, wait: WaitEvent) -> None:
        assert_type(wait.arrived, int)
        assert_type(wait.error, BaseException | None)

    def before_run(self, run: RunEvent) -> None:
        assert_type(run.attempt, int)
        assert_type(run.carrier, Mapping[str, str])
        run.state[self] = run.arguments.kwargs

    def after_run(self, run: RunEvent) -> None:
        assert_type(run.ending, Ending | None)

    def after_claim(self, claim: ClaimEvent) -> None:
        assert_type(claim.runs, tuple[ClaimedRun, ...])

    def after_settle(self, settle: SettleEvent) -> None:
        for end in settle.ends:
            assert_type(end.ending, Ending)
            assert_type(end.accepted, bool | None)


app = Pynenc("memory://", middleware=["logging_context", Complete, Complete()])
app.add_middleware(OpenTelemetry(), Prometheus(), LoggingContext(lambda: {"tenant": 3}), "shop.audit:Audit")

with LoggingContext.bind(request_id="r-17"), Prometheus().serve(0) as port:
    assert_type(port, int)
