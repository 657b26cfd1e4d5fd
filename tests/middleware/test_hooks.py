"""Which hooks are called, in which order, with what, and what follows when one raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynenc import Cancel, Pynenc, Retry
from pynenc.errors import CarrierFull, ConfigurationError, InvocationCancelled, StoreUnavailable, TaskError
from pynenc.io import run
from pynenc.middleware import (
    ClaimEvent,
    Ending,
    LoggingContext,
    Middleware,
    RunEvent,
    SettleEvent,
    SubmitEvent,
    WaitEvent,
    carriers,
)
from pynenc.middleware.registry import HOOKS
from pynenc.model.ids import new_invocation_id, parse_id
from pynenc.model.records import Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.passing import PassingOrchestrator
from pynenc.runners.told_store import told
from pynenc.testing.engine import Engine


class Diary(Middleware):
    """Notes which hooks were called."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary

    def _note(self, what: str) -> None:
        self.diary.append(f"{self.name} {what}")

    def before_submit(self, submit: SubmitEvent) -> None:
        self._note("before submit")

    def after_submit(self, submit: SubmitEvent) -> None:
        self._note(f"after submit {type(submit.error).__name__}" if submit.error else "after submit")

    def before_wait(self, wait: WaitEvent) -> None:
        self._note("before wait")

    def after_wait(self, wait: WaitEvent) -> None:
        self._note(f"after wait {wait.arrived}/{wait.count}")

    def before_run(self, run: RunEvent) -> None:
        self._note("before run")

    def after_run(self, run: RunEvent) -> None:
        self._note(f"after run {run.ending}")


class Ends(Middleware):
    """Keeps what the control loop tells."""

    def __init__(self) -> None:
        self.claimed: list[str] = []
        self.started: list[str] = []
        self.ended: list[tuple[str, str, bool | None]] = []
        self.failed_exchanges = 0

    def after_claim(self, claim: ClaimEvent) -> None:
        self.claimed += [f"{run.task_id.rpartition('.')[2]} {run.attempt}" for run in claim.runs]
        self.failed_exchanges += claim.error is not None

    def after_settle(self, settle: SettleEvent) -> None:
        if settle.error is None:
            self.started += [f"{run.task_id.rpartition('.')[2]} {run.attempt}" for run in settle.started]
        self.ended += [(end.run.task_id.rpartition(".")[2], end.ending.value, end.accepted) for end in settle.ends]


@pytest.fixture
def diary(pynenc_app: Pynenc) -> list[str]:
    """Return what two middlewares note, `outer` around `inner`."""
    notes: list[str] = []
    pynenc_app.add_middleware(Diary("outer", notes), Diary("inner", notes))
    return notes


def test_hooks_surround_each_other_like_the_skins_of_an_onion(
    pynenc_app: Pynenc, pynenc_engine: Engine, diary: list[str]
) -> None:
    @pynenc_app.task
    def work() -> int:
        diary.append("body")
        return 1

    assert work().result == 1

    assert diary == [
        "outer before submit", "inner before submit", "inner after submit", "outer after submit",
        "outer before wait", "inner before wait",
        "outer before run", "inner before run", "body", "inner after run success", "outer after run success",
        "inner after wait 1/1", "outer after wait 1/1",
    ]  # fmt: skip


def test_coroutines_call_the_same_hooks_without_a_thread(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    seen: list[str] = []

    class Awaiting(Middleware):
        async def abefore_submit(self, submit: SubmitEvent) -> None:
            await asyncio.sleep(0)
            seen.append("awaited")

        async def aafter_wait(self, wait: WaitEvent) -> None:
            await asyncio.sleep(0)
            seen.append(f"waited for {wait.count}")

    @pynenc_app.task
    def work() -> int:
        return 1

    pynenc_app.add_middleware(Awaiting(), Diary("d", seen))

    async def main() -> int:
        return await (await work.acall())

    assert asyncio.run(main()) == 1
    assert seen == [
        "awaited", "d before submit", "d after submit", "d before wait", "d before run", "d after run success",
        "d after wait 1/1", "waited for 1",
    ]  # fmt: skip


def test_one_event_tells_of_all_calls_that_are_submitted_together(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    seen: list[Any] = []

    class Look(Middleware):
        def after_submit(self, submit: SubmitEvent) -> None:
            seen.append([(call.task_id, call.queue, call.arguments.kwargs, call.reused) for call in submit.calls])
            seen.append([call.invocation_id for call in submit.calls])

    @pynenc_app.task(queue="sums")
    def add(x: int, y: int) -> int:
        return x + y

    pynenc_app.add_middleware(Look)
    group = add.parallelize([(1, 2), (3, 4)])

    assert seen[0] == [
        (add.task_id, "sums", {"x": 1, "y": 2}, False),
        (add.task_id, "sums", {"x": 3, "y": 4}, False),
    ]
    assert seen[1] == [invocation.invocation_id for invocation in group]


def test_a_call_that_an_earlier_one_stands_for_is_told_as_such(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    seen: list[Any] = []

    class Look(Middleware):
        def after_submit(self, submit: SubmitEvent) -> None:
            seen.extend((call.invocation_id, call.reused) for call in submit.calls)

    @pynenc_app.task(idempotency_key="once")
    def work() -> None: ...

    pynenc_app.add_middleware(Look())
    first, second = work(), work()

    assert first.invocation_id == second.invocation_id
    assert seen == [(first.invocation_id, False), (first.invocation_id, True)]


def test_a_submission_is_refused_with_the_error_of_a_hook(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    notes: list[str] = []

    class Gate(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            raise PermissionError("closed")

    @pynenc_app.task
    def work() -> None: ...

    pynenc_app.add_middleware(Diary("outer", notes), Gate(), Diary("inner", notes))

    with pytest.raises(PermissionError, match="closed"):
        work()
    with pytest.raises(PermissionError, match="closed"):
        work.parallelize([(), ()])

    assert notes == ["outer before submit", "outer after submit PermissionError"] * 2
    pynenc_engine.assert_not_enqueued(work)


def test_what_a_hook_raises_before_a_run_counts_as_raised_by_the_body(
    pynenc_app: Pynenc, pynenc_engine: Engine
) -> None:
    notes: list[str] = []
    errors: Iterator[BaseException] = iter([Retry(after=60), OSError("no"), Cancel("enough")])

    class Breaker(Middleware):
        def before_run(self, run: RunEvent) -> None:
            raise next(errors)

    @pynenc_app.task(max_retries=5, retry_for=(OSError,))
    def work() -> None:
        notes.append("body")

    pynenc_app.add_middleware(Diary("outer", notes), Breaker())
    invocation = work()
    pynenc_engine.run_all(skip_time=True)

    with pytest.raises(InvocationCancelled, match="enough"):
        invocation.get()
    assert [note for note in notes if "run" in note] == [
        "outer before run", "outer after run retry",
        "outer before run", "outer after run retry",
        "outer before run", "outer after run cancelled",
    ]  # fmt: skip
    assert "body" not in notes


def test_errors_of_other_hooks_are_logged_once_a_kind_and_change_nothing(
    pynenc_app: Pynenc, pynenc_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Middleware):
        """Raises wherever it may not refuse."""

        def after_submit(self, submit: SubmitEvent) -> None:
            raise ZeroDivisionError

        before_wait = after_wait = after_run = before_claim = after_claim = after_submit  # type: ignore[assignment]
        before_settle = after_settle = flush = after_submit  # type: ignore[assignment]

    @pynenc_app.task
    def work(n: int) -> int:
        return n

    pynenc_app.add_middleware(Broken())
    with caplog.at_level(logging.ERROR, logger="pynenc.middleware"):
        results = [work(n).result for n in range(3)]
        pynenc_app.hooks.flush()

    assert results == [0, 1, 2]
    hooks = {"after_submit", "before_wait", "after_run", "before_claim", "before_settle", "flush"}
    assert {record.getMessage().partition(" ")[0].rpartition(".")[2] for record in caplog.records} == hooks
    assert len(caplog.records) == len(hooks)


def test_a_run_is_told_with_its_arguments_its_error_and_its_value(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    seen: list[Any] = []

    class Look(Middleware):
        def before_run(self, run: RunEvent) -> None:
            run.state[self] = run.arguments.kwargs

        def after_run(self, run: RunEvent) -> None:
            seen.append((run.attempt, run.state[self], run.ending, repr(run.error), run.value, run.runner))

    @pynenc_app.task(max_retries=1, retry_for=(OSError,))
    def work(x: int, y: int = 2) -> int:
        if pynenc_app.tasks[work.task_id].invocation.num_retries == 0:
            raise OSError("first")
        return x + y

    pynenc_app.add_middleware(Look())
    invocation = work(1)
    pynenc_engine.run_all(skip_time=True)

    assert invocation.result == 3
    arguments = {"x": 1, "y": 2}
    assert seen == [
        (1, arguments, Ending.RETRY, "OSError('first')", None, "InlineRunner"),
        (2, arguments, Ending.SUCCESS, "None", 3, "InlineRunner"),
    ]


def test_a_failure_to_decode_arguments_is_told_as_the_end_of_the_run(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    notes: list[str] = []

    @pynenc_app.task
    def work() -> None: ...

    item = Submission(invocation_id=new_invocation_id(), task_id=work.task_id, arguments=b"no envelope")
    run(pynenc_app.control.submit([item]))
    pynenc_app.add_middleware(Diary("d", notes))
    pynenc_engine.run_all()

    assert notes == ["d before run", "d after run failed"]


def test_a_runner_tells_of_claims_starts_and_ends(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    ends = Ends()
    pynenc_app.add_middleware(ends)

    @pynenc_app.task
    def child() -> int:
        return 1

    @pynenc_app.task(max_retries=1)
    def parent() -> int:
        if child().result == 1 and pynenc_app.tasks[parent.task_id].invocation.num_retries == 0:
            raise Retry
        raise ValueError

    parent()
    pynenc_engine.run_all(skip_time=True)

    assert ends.claimed == ["parent 1", "child 1", "parent 2", "child 1"]
    assert sorted(ends.started) == sorted(ends.claimed)
    assert ends.ended == [
        ("child", "success", True), ("parent", "retry", True), ("child", "success", True), ("parent", "failed", True),
    ]  # fmt: skip


def test_what_travels_with_a_call_reaches_every_attempt(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    seen: list[Any] = []

    class Tenant(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            for place, call in enumerate(submit.calls):
                call.carry("shop.tenant", f"t{place}")

        def before_run(self, run: RunEvent) -> None:
            seen.append((run.attempt, dict(run.carrier)))

    @pynenc_app.task(max_retries=1)
    def work(n: int) -> None:
        raise Retry

    pynenc_app.add_middleware(Tenant())
    work.parallelize([1, 2])
    pynenc_engine.run_all(skip_time=True)

    assert sorted(seen, key=repr) == [
        (1, {"shop.tenant": "t0"}), (1, {"shop.tenant": "t1"}),
        (2, {"shop.tenant": "t0"}), (2, {"shop.tenant": "t1"}),
    ]  # fmt: skip


def test_what_does_not_fit_refuses_the_submission(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    class Greedy(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            submit.calls[0].carry("big", "x" * 5_000)

    @pynenc_app.task
    def work() -> None: ...

    pynenc_app.add_middleware(Greedy())

    with pytest.raises(CarrierFull, match="'big' does not fit"):
        work()


def test_a_run_does_not_break_on_a_carrier_that_is_none(
    pynenc_app: Pynenc, pynenc_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    carriers._said.clear()
    seen: list[Any] = []

    class Look(Middleware):
        def before_run(self, run: RunEvent) -> None:
            seen.append(dict(run.carrier))

    @pynenc_app.task
    def work() -> int:
        return 1

    pynenc_app.add_middleware(Look(), LoggingContext())
    sealed = work.prepare((), {}).sealed
    for meta in (b"\xff\x00", b"x" * 10_000):
        item = Submission(invocation_id=new_invocation_id(), task_id=work.task_id, arguments=sealed, meta=meta)
        run(pynenc_app.control.submit([item]))
    pynenc_engine.run_all()

    assert seen == [{}, {}]
    assert [record.getMessage()[:40] for record in caplog.records] == ["an invocation carries what cannot be rea"]


def test_a_middleware_is_only_asked_for_hooks_it_has(pynenc_app: Pynenc) -> None:
    class OnlyRuns(Middleware):
        async def abefore_run(self, run: RunEvent) -> None: ...

    middleware = OnlyRuns()
    pynenc_app.add_middleware(middleware)

    hooks = pynenc_app.hooks

    assert {kind: getattr(hooks, kind) for kind in HOOKS} == {
        kind: (middleware,) if kind == "run" else () for kind in HOOKS
    }


def test_without_middleware_a_runner_uses_its_store_itself(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    store = pynenc_app.control

    assert told(store, pynenc_app.hooks, "test") is store


def test_configuration_comes_before_the_constructor_and_that_before_additions() -> None:
    app = Pynenc("memory://", config_values={"middleware": ["logging_context"]}, middleware=[Ends, Ends()])
    app.add_middleware("tests.middleware.test_hooks:Ends")

    assert [type(each) for each in app.hooks.all] == [LoggingContext, Ends, Ends, Ends]


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ("nothing", "no middleware is called 'nothing'; there are logging_context, opentelemetry, prometheus"),
        ("shop.nothing:Thing", "cannot be imported"),
        ("tests.middleware.test_hooks:Nothing", "cannot be imported"),
        ("tests.middleware.test_hooks:HOOKS", "is no middleware: derive its class"),
        (Diary, "cannot be made without arguments"),
        (3, "is no middleware"),
    ],
)
def test_what_is_no_middleware_is_refused_by_name(choice: Any, complaint: str) -> None:
    app = Pynenc("memory://")

    with pytest.raises(ConfigurationError, match=complaint):
        app.add_middleware(choice)


def test_a_package_gives_its_middleware_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "shop-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[pynenc.middleware]\nshop_ends = tests.middleware.test_hooks:Ends\nbroken = nowhere:Thing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    app = Pynenc("memory://", middleware=["shop_ends"])

    assert [type(each).__name__ for each in app.hooks.all] == ["Ends"]
    with pytest.raises(ConfigurationError, match=r"'broken' \(nowhere:Thing\) cannot be loaded"):
        app.add_middleware("broken")
    with pytest.raises(ConfigurationError, match=r"there are broken, logging_context, .*, shop_ends"):
        app.add_middleware("shop")


def test_one_name_need_not_be_a_list() -> None:
    app = Pynenc("memory://", middleware="logging_context")

    assert [type(each) for each in app.hooks.all] == [LoggingContext]


def test_a_middleware_is_registered_once() -> None:
    ends = Ends()
    app = Pynenc("memory://", middleware=[ends])

    with pytest.raises(ConfigurationError, match="is registered already"):
        app.add_middleware(Ends(), ends)

    assert app.hooks.all == (ends,)


def test_an_unknown_parent_leaves_the_error_in_the_event(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    notes: list[str] = []

    @pynenc_app.task
    def work() -> None: ...

    invocation = work()
    pynenc_app.purge()
    pynenc_app.add_middleware(Diary("d", notes))

    with pytest.raises(Exception, match="to come after is unknown"):
        work.after([invocation])()

    assert notes == ["d before submit", "d after submit InvocationNotFound"]


def test_parallelize_without_calls_tells_of_nothing(
    pynenc_app: Pynenc, pynenc_engine: Engine, diary: list[str]
) -> None:
    with pytest.raises(TaskError):
        pynenc_app.submit_many([])

    assert diary == []


def test_ends_are_told_again_after_a_lost_reply_and_counted_once(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    class Deaf(PassingOrchestrator):
        deaf = False

        def exchange(self, request: Exchange) -> Any:
            reply = yield from super().exchange(request)
            if self.deaf:
                raise StoreUnavailable("cut")
            return reply

    @pynenc_app.task
    def work() -> None: ...

    ends = Ends()
    pynenc_app.add_middleware(ends)
    invocation = work()
    inner = Deaf(pynenc_app.control)
    store = told(inner, pynenc_app.hooks, "test")
    info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=1)
    session = run(store.open_session(info, lease_us=60_000_000))
    claim = run(store.exchange(Exchange(session=session, want=1))).claims[0]
    end = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=work.prepare((), {}).sealed)

    inner.deaf = True
    with pytest.raises(StoreUnavailable):
        run(store.exchange(Exchange(session=session, completions=(end,))))
    inner.deaf = False
    assert run(store.list_owned(session)) == []
    run(store.exchange(Exchange(session=session, completions=(end,))))
    run(store.exchange(Exchange(session=session, completions=(end,))))

    assert parse_id(invocation.invocation_id) == claim.invocation_id
    assert ends.ended == [("work", "success", None), ("work", "success", True)]
    assert ends.started == ["work 1"]
    assert ends.failed_exchanges == 1
