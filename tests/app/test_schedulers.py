"""The order in which an app's calls begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.core.run_times import RunTimes
from pynenc.errors import ConfigurationError, InvalidTaskOptionsError
from pynenc.io import run
from pynenc.scheduling import PriorityScheduler, Rank, RankContext, Scheduler
from pynenc.task import Task
from tests.app.conftest import MakeApp

Names = Callable[[], list[str]]


class ByArgument(Scheduler):
    name = "by argument"

    def rank(self, context: RankContext) -> Rank:
        return Rank(7, 1_000 - round(context.priority))


def noted(app: Pynenc, **options: Any) -> tuple[Task[[str], None], list[str]]:
    """Return a task that notes its argument, and the notes."""
    notes: list[str] = []

    @app.task(**options)
    def note(name: str) -> None:
        notes.append(name)

    return note, notes


def drained(app: Pynenc, notes: list[str], number: int) -> list[str]:
    """Run what was submitted, one at a time; return what was noted."""
    app.conf.max_threads = 1
    app.conf.prefetch = False
    with app.running():
        handles = list(app.orchestrator.get_existing_invocations(next(iter(app.tasks.values()))))
        for handle in handles:
            app.get_invocation(handle).wait(30)
    assert len(notes) == number
    return notes


def three(task: Task[[str], None], options: Mapping[str, dict[str, Any]]) -> None:
    for name, given in options.items():
        task.options(**given)(name)


def test_higher_priorities_begin_first(make_app: MakeApp) -> None:
    app = make_app(scheduler="priority")
    note, notes = noted(app)
    three(note, {"low": {"priority": -5}, "plain": {}, "high": {"priority": 5}, "higher": {"priority": 5.5}})

    assert drained(app, notes, 4) == ["higher", "high", "plain", "low"]


def test_the_earliest_deadline_begins_first(make_app: MakeApp) -> None:
    app = make_app(scheduler="deadline")
    note, notes = noted(app)
    soon = datetime.now(UTC) + timedelta(seconds=20)
    three(note, {"none": {}, "minute": {"deadline": "1min"}, "soon": {"deadline": soon}, "tight": {"deadline": 5}})

    assert drained(app, notes, 4) == ["tight", "soon", "minute", "none"]


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [("dependency", ["awaited", "old", "older"]), ("fifo", ["old", "older", "awaited"])],
)
def test_what_a_body_waits_for_goes_first_if_the_scheduler_wants_that(
    make_app: MakeApp, scheduler: str, expected: list[str]
) -> None:
    app = make_app(scheduler=scheduler)
    note, notes = noted(app)
    awaited: list[Any] = []

    @app.task
    def waits_for_another() -> None:
        awaited[0].get(timeout=30)

    waits_for_another()
    note.map(["old", "older"])
    awaited.append(note("awaited"))

    assert drained(app, notes, 3) == expected


def test_the_newest_begins_first(make_app: MakeApp) -> None:
    app = make_app(scheduler="lifo")
    note, notes = noted(app)
    note.map(["1", "2", "3"])

    assert drained(app, notes, 3) == ["3", "2", "1"]


def test_rules_give_priorities_to_tasks_that_have_none_of_their_own(make_app: MakeApp) -> None:
    app = make_app(scheduler="priority", priority_rules={"*.note": -10, "*": 50})
    note, _ = noted(app)

    @app.task
    def other() -> None: ...

    assert (note.conf.priority, other.conf.priority) == (-10.0, 50.0)
    assert (note.options(priority=3).conf.priority, noted(app, priority=0.0)[0].conf.priority) == (3.0, 0.0)


@pytest.mark.parametrize("choice", [ByArgument, ByArgument(), {"default": ByArgument}, {"*": ByArgument()}])
def test_a_scheduler_of_ones_own_decides(choice: Any) -> None:
    app = Pynenc("memory://", app_id="tests", scheduler=choice)
    note, notes = noted(app)
    three(note, {"one": {"priority": 1}, "two": {"priority": 2}, "three": {"priority": 3}})

    assert drained(app, notes, 3) == ["three", "two", "one"]
    app.close()


def test_the_environment_is_stronger_than_a_name_in_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNENC__SCHEDULER", "mail=lifo, *=priority")

    app = Pynenc("memory://", scheduler="deadline")

    assert app.conf.scheduler == {"mail": "lifo", "*": "priority"}
    assert app.scheduler.name == "by queue"


def test_an_instance_is_kept_as_it_is() -> None:
    mine = PriorityScheduler(ageing=timedelta(seconds=1))

    assert Pynenc("memory://", scheduler=mine).scheduler is mine


@pytest.mark.parametrize(("choice", "error"), [("fancy", ConfigurationError), ({"a": "fancy"}, ConfigurationError)])
def test_what_is_no_scheduler_is_refused_when_the_app_is_made(choice: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Pynenc("memory://", scheduler=choice)


def test_a_rank_that_no_store_takes_is_refused_at_the_call() -> None:
    app = Pynenc("memory://", scheduler=lambda context: Rank(1_000, 0))
    note, _ = noted(app)

    with pytest.raises(ConfigurationError, match="1000"):
        note("x")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("priority", 100.5),
        ("priority", float("nan")),
        ("priority", "high"),
        ("priority", True),
        ("deadline", 0),
        ("deadline", -1),
        ("deadline", datetime(2026, 1, 1)),
        ("deadline", "2026-01-31T08:00"),
        ("deadline", "soon"),
    ],
)
def test_an_option_that_means_no_order_is_refused_by_name(app: Pynenc, option: str, value: object) -> None:
    note, _ = noted(app)

    with pytest.raises(InvalidTaskOptionsError, match=option):
        note.options(**{option: value})


def test_run_times_are_medians_of_what_was_recorded(app: Pynenc) -> None:
    note, notes = noted(app)
    note.map(["1", "2", "3"])
    drained(app, notes, 3)
    times = RunTimes(app.backend.state_backend)

    run(times.learn())

    recorded = [
        app.get_invocation(each).snapshot().outcome for each in app.orchestrator.get_task_invocation_ids(note.task_id)
    ]
    took = sorted(each.ended_at_us - each.started_at_us for each in recorded if each and each.started_at_us)
    assert times.of(note.task_id) == took[1]
    assert times.of("never.seen") == took[1]


def test_nothing_is_known_of_run_times_before_anything_ran(app: Pynenc) -> None:
    times = RunTimes(app.backend.state_backend)

    run(times.learn())

    assert times.of("m.f") is None


def test_the_shortest_begins_first_once_it_is_known(make_app: MakeApp) -> None:
    app = make_app(scheduler="shortest")
    app.run_times._medians.update({"long": 90_000_000, "short": 1_000})
    ranks = {
        task_id: app.scheduler.rank(
            RankContext(task_id=task_id, queue="default", now_us=10**15, run_time_us=app.run_times.of(task_id))
        )
        for task_id in ("long", "short", "new")
    }

    assert [ranks[name].key for name in ("short", "new", "long")] == sorted(rank.key or 0 for rank in ranks.values())
