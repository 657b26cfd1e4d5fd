"""Who uses no middleware pays nothing for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from pynenc import Pynenc
from pynenc.core.execution import TaskExecution
from pynenc.middleware import Middleware, RunEvent
from pynenc.model.ids import Epoch, SessionId, new_invocation_id
from pynenc.model.records import Claim
from pynenc.testing.engine import Engine


def functions_called(action: Callable[[], Any]) -> list[str]:
    """Return the Python functions that are called during `action`, in this thread, as file:name."""
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return called


def of_middleware(called: list[str]) -> list[str]:
    return [each for each in called if "/pynenc/middleware/" in each or "told_store" in each]


class NoLink:
    """A runner that nobody asks anything."""

    runner_name = "none"
    worker = 1
    stopping = None
    notes: tuple[str, ...] = ()


class OnlyClaims(Middleware):
    """Has no hook around runs."""

    def before_claim(self, claim: Any) -> None: ...


def submit_and_execute(app: Pynenc) -> Callable[[], Any]:
    """Return an action that submits a call and runs its body, with everything loaded that is needed once."""

    @app.task
    def work(n: int) -> int:
        return n

    claim = Claim(
        invocation_id=new_invocation_id(),
        session=SessionId(1),
        epoch=Epoch(1),
        attempt=1,
        crashes=0,
        task_id=work.task_id,
        arguments=work.prepare((1,), {}).sealed,
        policy=work.encoded_policy,
        meta=b"",
        queue="default",
        rank=1,
    )
    link: Any = NoLink()

    def action() -> None:
        work(1)
        TaskExecution(app).run(claim, link)

    action()
    return action


def test_without_middleware_none_of_its_code_runs(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    action = submit_and_execute(pynenc_app)

    called = functions_called(action)

    assert of_middleware(called) == []
    assert any(each.endswith("submitting.py:submit") for each in called)
    assert any(each.endswith("execution.py:run") for each in called)


def test_middleware_without_the_hook_in_question_costs_no_more(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    action = submit_and_execute(pynenc_app)
    before = functions_called(action)

    pynenc_app.add_middleware(OnlyClaims())
    after = functions_called(action)

    assert len(after) == len(before)


def test_middleware_with_the_hook_is_called(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    class Run(Middleware):
        def before_run(self, run: RunEvent) -> None: ...

    action = submit_and_execute(pynenc_app)
    pynenc_app.add_middleware(Run())

    assert any(each.endswith("test_cost.py:before_run") for each in functions_called(action))
