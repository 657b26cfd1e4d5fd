"""Calling tasks: arguments, results, errors, options."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from pynenc import Cancel, Pynenc, Retry, RetryError, current_invocation
from pynenc.errors import (
    ConfigurationError,
    InvalidTaskOptionsError,
    InvocationCancelled,
    InvocationExpired,
    NotYetAvailable,
    RemoteTraceback,
    ResultTimeout,
    SerializationError,
    TaskTimeout,
    WaitCycle,
)
from pynenc.invocation import DistributedInvocation, InvocationStatus, ReusedInvocation
from tests.app.conftest import MakeApp


class Color(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Line:
    price: Decimal
    color: Color


class OddError(Exception):
    """An exception whose constructor takes what its args do not tell."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"odd {code}")
        self.code = code
        self.hint = hint


def test_a_call_returns_an_invocation_whose_result_is_the_value(app: Pynenc) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    with app.running():
        invocation = add(1, 2)

        assert invocation.result == 3

    assert invocation.status is InvocationStatus.SUCCESS
    assert isinstance(invocation, DistributedInvocation)


def test_every_kind_of_signature_arrives_as_it_was_called(app: Pynenc) -> None:
    @app.task
    def everything(a: int, /, b: int, *rest: int, c: int, d: int = 4, **more: int) -> list[object]:
        return [a, b, rest, c, d, more]

    with app.running():
        assert everything(1, 2, 3, c=5, e=6).result == [1, 2, (3,), 5, 4, {"e": 6}]


def test_wrong_arguments_fail_at_the_call_and_submit_nothing(app: Pynenc) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(TypeError, match="missing a required argument"):
        add(1)  # type: ignore[call-arg]

    assert app.orchestrator.count_invocations() == 0


def test_values_keep_their_types(app: Pynenc) -> None:
    value = {
        "line": Line(Decimal("1.10"), Color.RED),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "id": UUID(int=7),
        "parts": (1, {2, 3}, frozenset({4}), b"\x00\xff"),
        3: {(1, 2): "tuple key"},
    }

    @app.task
    def same(given: object, line: Line) -> object:
        return given

    with app.running():
        assert same(value, Line(Decimal(2), Color.RED)).result == value


def test_an_argument_that_cannot_be_kept_is_refused_by_path(app: Pynenc) -> None:
    @app.task
    def use(order: object) -> None: ...

    with pytest.raises(SerializationError) as caught:
        use({"lines": [1, threading.Lock()]})

    assert "order" in str(caught.value)
    assert "lines" in str(caught.value)
    assert app.orchestrator.count_invocations() == 0


def test_a_result_that_cannot_be_kept_fails_the_invocation_with_that_reason(app: Pynenc) -> None:
    @app.task
    def bad() -> object:
        return threading.Lock()

    with app.running(), pytest.raises(SerializationError, match="lock"):
        _ = bad().result


def test_an_exception_comes_back_as_itself_with_the_remote_traceback(app: Pynenc) -> None:
    app.register_types(OddError)

    @app.task
    def fail() -> None:
        raise OddError(7, hint="none")

    with app.running(), pytest.raises(OddError) as caught:
        _ = fail().result

    assert (caught.value.code, caught.value.hint) == (7, "none")
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "raise OddError(7" in str(caught.value.__cause__)


def test_retries_stop_at_max_retries_and_history_tells_each(app: Pynenc) -> None:
    attempts: list[int] = []

    @app.task(max_retries=2, retry_for=(OSError,))
    def flaky() -> None:
        attempts.append(1)
        raise OSError("again")

    with app.running():
        invocation = flaky()
        with pytest.raises(OSError, match="again"):
            _ = invocation.result

    assert len(attempts) == 3
    assert invocation.num_retries == 2
    statuses = [entry.status for entry in invocation.history]
    assert statuses.count(InvocationStatus.RETRY) == 2
    assert statuses[0] is InvocationStatus.REGISTERED
    assert statuses[-1] is InvocationStatus.FAILED
    times = [entry.timestamp for entry in invocation.history]
    assert times == sorted(times)


def test_an_exception_that_is_not_listed_is_not_tried_again(app: Pynenc) -> None:
    attempts: list[int] = []

    @app.task(max_retries=5)
    def broken() -> None:
        attempts.append(1)
        raise KeyError("missing")

    with app.running(), pytest.raises(KeyError, match="missing"):
        _ = broken().result

    assert attempts == [1]


def test_a_body_chooses_its_own_delay_with_retry_after(app: Pynenc) -> None:
    seen: list[int] = []

    @app.task(max_retries=1, retry_delay=3600)
    def polite() -> str:
        seen.append(1)
        if len(seen) == 1:
            raise Retry(after=timedelta(milliseconds=1))
        return "done"

    with app.running():
        assert polite().get(timeout=30) == "done"


def test_a_body_cancels_itself(app: Pynenc) -> None:
    @app.task
    def never_mind() -> None:
        raise Cancel("nothing to do")

    with app.running():
        invocation = never_mind()
        with pytest.raises(InvocationCancelled, match="nothing to do"):
            _ = invocation.result

    assert invocation.status is InvocationStatus.CANCELLED


def test_a_cancelled_invocation_never_runs(app: Pynenc) -> None:
    ran: list[int] = []

    @app.task
    def work() -> None:
        ran.append(1)

    invocation = work()
    assert invocation.cancel(reason="changed my mind")
    with app.running(), pytest.raises(InvocationCancelled, match="changed my mind"):
        _ = invocation.result

    assert ran == []
    assert not invocation.cancel()


def test_an_attempt_that_exceeds_its_timeout_fails_as_timed_out(app: Pynenc) -> None:
    @app.task(timeout=0.05)
    def stuck() -> None:
        end = threading.Event()
        while not end.wait(0.01):
            pass

    with app.running(), pytest.raises(TaskTimeout, match=r"0\.05 s"):
        _ = stuck().result


def test_a_result_that_is_late_for_the_caller_goes_on(app: Pynenc) -> None:
    gate = threading.Event()

    @app.task
    def slow() -> int:
        gate.wait(30)
        return 1

    with app.running():
        invocation = slow()
        with pytest.raises(ResultTimeout):
            invocation.get(timeout=0.01)
        gate.set()

        assert invocation.get(timeout=30) == 1


def test_delayed_and_expiring_calls_use_one_call_options(app: Pynenc) -> None:
    @app.task
    def work(x: int) -> int:
        return x

    late = work.options(delay=3600)(1)
    expired = work.options(expires=0.001, delay=0.5)(2)

    with app.running(), pytest.raises(InvocationExpired):
        expired.get(timeout=30)

    assert late.status is InvocationStatus.REGISTERED
    assert "does not run before" in late.why()


def test_an_idempotency_key_names_one_invocation(app: Pynenc) -> None:
    @app.task(idempotency_key=lambda order, note: f"order-{order}")
    def ship(order: int, note: str) -> str:
        return note

    first = ship(1, "first")
    again = ship(1, "second")
    other = ship(2, "third")

    assert again.invocation_id == first.invocation_id != other.invocation_id
    assert isinstance(again, ReusedInvocation)
    assert again.diff_arg is not None
    assert again.diff_arg.kwargs["note"] == "second"
    with app.running():
        assert (first.result, again.result, other.result) == ("first", "first", "third")


def test_a_cached_call_reuses_its_result_but_not_its_failure(app: Pynenc) -> None:
    calls: list[int] = []

    @app.task(call_result_cache=True, disable_cache_args=("trace",))
    def square(x: int, trace: str = "") -> int:
        calls.append(x)
        if x < 0 and calls.count(x) == 1:
            raise ValueError("negative")
        return x * x

    with app.running():
        assert square(3, trace="a").result == 9
        assert square(x=3, trace="b").result == 9
        failed = square(-2)
        with pytest.raises(ValueError, match="negative"):
            _ = failed.result
        assert square(-2).result == 4

    assert calls == [3, -2, -2]


def test_a_task_that_waits_gives_its_slot_back(make_app: MakeApp) -> None:
    app = make_app(min_threads=1, max_threads=1)

    @app.task
    def fibonacci(n: int) -> int:
        if n < 2:
            return n
        parts = fibonacci.parallelize([(n - 1,), (n - 2,)])
        return sum(parts.results)

    with app.running():
        assert fibonacci(9).result == 34


def test_a_wait_cycle_is_an_error_that_names_it(app: Pynenc) -> None:
    @app.task
    def wait_for(others: list[str]) -> str:
        return str(app.get_invocation(others[0]).result)

    @app.task
    def start() -> str:
        mine = current_invocation().invocation_id
        return str(wait_for([mine]).result)

    with app.running(), pytest.raises(WaitCycle) as caught:
        _ = start().result

    assert len(caught.value.cycle) == 3
    assert caught.value.cycle[0] == caught.value.cycle[-1]
    assert "wait_for" in str(caught.value)


def test_children_are_found_below_their_parent(app: Pynenc) -> None:
    @app.task
    def leaf(x: int) -> int:
        return x

    @app.task
    def parent() -> int:
        return sum(leaf.map(range(3)).results)

    with app.running():
        invocation = parent()
        assert invocation.result == 3

    assert {child.task.task_id for child in invocation.children} == {leaf.task_id}
    assert len(invocation.children) == 3


def test_progress_is_visible_while_and_after_the_body_runs(app: Pynenc) -> None:
    reported, finish = threading.Event(), threading.Event()

    @app.task
    def work() -> None:
        current_invocation().progress(1, 4, "first quarter")
        reported.set()
        finish.wait(30)
        current_invocation().heartbeat({"at": 3})

    with app.running():
        invocation = work()
        assert reported.wait(30)
        finish.set()
        _ = invocation.result

    assert invocation.progress is not None
    assert invocation.progress.details == {"at": 3}


def test_groups_yield_each_result_once_and_count_progress(app: Pynenc) -> None:
    @app.task
    def double(x: int) -> int:
        return 2 * x

    with app.running():
        group = double.parallelize([(1,), {"x": 2}, double.args(3), 4])

        assert sorted(group.results) == [2, 4, 6, 8]

    progress = group.progress()
    assert (progress.total, progress.done, progress.succeeded, progress.fraction) == (4, 4, 4, 1.0)


def test_large_common_arguments_are_stored_once(app: Pynenc) -> None:
    @app.task
    def size(blob: str, index: int) -> int:
        return len(blob) + index

    group = size.parallelize(({"index": i} for i in range(5)), common_args={"blob": "x" * 50_000})

    with app.running():
        assert sorted(group.results) == [50_000 + i for i in range(5)]
    assert max(len(member.snapshot().call.arguments) for member in _distributed(group)) < 1_000


def _distributed(group: object) -> Iterator[DistributedInvocation[..., object]]:
    for member in group:  # type: ignore[attr-defined]
        assert isinstance(member, DistributedInvocation)
        yield member


def test_a_direct_task_returns_its_value_and_splits_itself(app: Pynenc) -> None:
    @app.direct_task
    def plain(x: int) -> int:
        return x + 1

    @app.direct_task(
        parallel_func=lambda args: ({"factor": args["factor"]}, [{"numbers": [n]} for n in args["numbers"]]),
        aggregate_func=sum,
    )
    def total(numbers: list[int], factor: int) -> int:
        return sum(numbers) * factor

    with app.running():
        assert plain(1) == 2
        assert total([1, 2, 3], factor=10) == 60


def test_asyncio_callers_and_async_tasks(app: Pynenc) -> None:
    @app.task
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    @app.direct_task
    async def direct(x: int) -> int:
        return x

    @app.task
    async def parent() -> int:
        first, second = await asyncio.gather(await double.acall(1), await double.acall(2))
        return first + second

    async def main() -> tuple[int, int, int, list[int]]:
        async with app.running():
            invocation = await double.acall(2)
            group = await double.aparallelize([(1,), (2,)])
            results = [value async for value in group.async_results()]
            return await invocation, await direct(5), await parent(), sorted(results)

    assert asyncio.run(main()) == (4, 5, 6, [2, 4])


def test_after_runs_once_the_others_have_succeeded(app: Pynenc) -> None:
    order: list[str] = []

    @app.task
    def step(name: str) -> None:
        order.append(name)
        if name == "bad":
            raise ValueError(name)

    good = step("good")
    bad = step("bad")
    follows = step.after(good)("follows")
    skipped = step.after([good, bad])("skipped")
    anyway = step.after([good, bad], policy="done")("anyway")

    with app.running():
        assert follows.wait(30)
        assert anyway.wait(30)
        assert skipped.wait(30)

    assert order.index("good") < order.index("follows")
    assert "anyway" in order
    assert skipped.status is InvocationStatus.CANCELLED


def test_a_call_begins_at_its_instant_in_any_time_zone(app: Pynenc) -> None:
    @app.task
    def one() -> int:
        return 1

    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    rome = timezone(timedelta(hours=1))
    late = one.options(start_at=tomorrow.astimezone(rome))()
    past = one.options(start_at=datetime(2026, 1, 1, tzinfo=rome), delay=3_600)()

    with app.running():
        assert past.get(timeout=30) == 1

    control = app.get_invocation(late.invocation_id).snapshot().control
    assert control is not None
    assert control.not_before_us == round(tomorrow.timestamp() * 1_000_000)


def test_an_invocation_can_be_an_argument(app: Pynenc) -> None:
    @app.task
    def one() -> int:
        return 1

    @app.task
    def plus_one(other: DistributedInvocation[[], int]) -> int:
        return other.result + 1

    with app.running():
        assert plus_one(one()).result == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("triggers", object()),
    ],
)
def test_what_is_not_there_yet_is_refused_by_name(make_app: MakeApp, option: str, value: object) -> None:
    with pytest.raises(NotYetAvailable, match=option):
        make_app().task(**{option: value})(lambda x: x)


def test_an_unknown_option_names_the_nearest_valid_one(app: Pynenc) -> None:
    with pytest.raises(InvalidTaskOptionsError, match="max_retries"):
        app.task(max_retry=3)(lambda: None)


def test_development_mode_runs_calls_in_place(make_app: MakeApp) -> None:
    app = make_app(dev_mode_force_sync_tasks=True)
    attempts: list[int] = []

    @app.task(max_retries=1)
    def flaky(x: tuple[int, ...]) -> tuple[int, ...]:
        attempts.append(1)
        if len(attempts) == 1:
            raise RetryError
        return x

    invocation = flaky((1, 2))

    assert invocation.status is InvocationStatus.SUCCESS
    assert invocation.result == (1, 2)
    assert invocation.num_retries == 1
    assert list(flaky.parallelize([((3,),)]).results) == [(3,)]


def test_purge_forgets_everything(app: Pynenc) -> None:
    @app.task
    def work() -> None: ...

    work()
    with app.running():
        _ = work().result
    app.purge()

    assert app.orchestrator.count_invocations() == 0


def test_a_paused_queue_runs_nothing_until_it_is_resumed(app: Pynenc) -> None:
    @app.task
    def work() -> int:
        return 1

    app.pause("default")
    invocation = work()
    with app.running():
        assert "queue 'default' is paused" in invocation.why()
        app.resume("default")

        assert invocation.get(timeout=30) == 1


def test_a_runner_can_run_again_after_it_was_stopped(app: Pynenc) -> None:
    @app.task
    def work() -> int:
        return 1

    for _ in range(3):
        with app.running():
            assert work().get(timeout=30) == 1


def test_logs_show_arguments_as_far_as_they_may(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(argument_print_mode="keys")

    @app.task
    def login(user: str, password: str) -> None: ...

    with caplog.at_level("DEBUG", logger="pynenc.core.execution"), app.running():
        _ = login("ada", "secret").result

    assert any("login(user, password) begins attempt 1" in message for message in caplog.messages)
    assert not any("secret" in message for message in caplog.messages)


def test_the_logger_of_a_task_knows_its_invocation(app: Pynenc, caplog: pytest.LogCaptureFixture) -> None:
    @app.task
    def work() -> str:
        work.logger.warning("at work")
        return work.invocation.invocation_id

    with app.running():
        invocation_id = work().result

    record = next(record for record in caplog.records if record.getMessage() == "at work")
    assert vars(record)["invocation_id"] == invocation_id
    assert vars(record)["task_id"] == work.task_id


def test_pickle_is_an_opt_in_that_needs_a_key(make_app: MakeApp) -> None:
    keyless = make_app(serializer_cls="pickle")
    with pytest.raises(ConfigurationError, match="serializer_keys"):
        keyless.task(lambda x: x)(1)

    app = make_app(serializer_cls="pickle", serializer_keys=["a secret of this test"])

    @app.task
    def same(value: object) -> object:
        return value

    with app.running():
        assert same({1: {2, 3}}).result == {1: {2, 3}}
