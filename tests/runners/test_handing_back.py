"""What was claimed ahead and cannot start goes to a runner that is free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.errors import StoreUnavailable
from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import Exchange, SessionInfo, SessionKind
from tests.faults.processes import RunnerProcess
from tests.runners import process_app as tasks
from tests.runners.stage import Stage


def stage_with_stuck_claims() -> tuple[Stage, list[InvocationId]]:
    """Return a loop of one slot that runs a body and has claimed two more, and those two."""
    stage = Stage(slots=3)
    ids = stage.submit(3)
    stage.settle()
    stage.executor.slots = 1
    stage.settle()
    return stage, ids[1:]


def add_session(
    stage: Stage, *, queues: tuple[str, ...] = (), kind: SessionKind = SessionKind.RUNNER, slots: int = 1, most: int = 0
) -> SessionId:
    info = SessionInfo(kind=kind, name="other", host="there", pid=2, slots=slots, most_slots=most, queues=queues)
    return run(stage.backend.orchestrator.open_session(info, lease_us=60_000_000))


def keep_busy(stage: Stage, session: SessionId) -> None:
    """Have another runner run something."""
    stage.submit(1, queue="apart")
    assert run(stage.backend.orchestrator.exchange(Exchange(session=session, want=1, queues=("apart",)))).claims


def in_hand(stage: Stage, ids: list[InvocationId]) -> int:
    controls = [stage.snapshot(each).control for each in ids]
    return sum(control is not None and control.owner is not None for control in controls)


def test_a_stuck_claim_goes_back_soon_if_another_runner_is_free() -> None:
    stage, stuck = stage_with_stuck_claims()
    add_session(stage)

    stage.pass_time(0.15)

    assert in_hand(stage, stuck) == 0


def test_a_stuck_claim_stays_for_a_while_if_nobody_can_have_it() -> None:
    stage, stuck = stage_with_stuck_claims()
    add_session(stage, kind=SessionKind.CLIENT)
    stage.submit(1, queue="apart")

    stage.pass_time(0.9)
    early = in_hand(stage, stuck)
    stage.pass_time(1.2)

    assert early == 2
    assert in_hand(stage, stuck) == 0


def test_a_runner_of_other_queues_does_not_count() -> None:
    stage = Stage(slots=2, queues=("default",))
    ids = stage.submit(2)
    stage.settle()
    stage.executor.slots = 1
    add_session(stage, queues=("mail",))

    stage.pass_time(0.9)
    with_the_other = in_hand(stage, ids)
    add_session(stage, queues=("mail", "default"))
    stage.pass_time(0.9)

    assert with_the_other == 2
    assert in_hand(stage, ids) == 1


@pytest.mark.parametrize(("slots", "most", "kept"), [(1, 1, 2), (1, 4, 0), (2, 2, 0)])
def test_a_busy_runner_takes_what_is_stuck_only_if_a_slot_is_free_or_it_grows(slots: int, most: int, kept: int) -> None:
    stage = Stage(slots=3, queues=("default",))
    stuck = stage.submit(3)[1:]
    stage.settle()
    stage.executor.slots = 1
    stage.settle()
    keep_busy(stage, add_session(stage, queues=("default", "apart"), slots=slots, most=most))

    stage.pass_time(0.15)

    assert in_hand(stage, stuck) == kept


def test_a_runner_with_stuck_claims_looks_ever_more_seldom_until_a_body_ends() -> None:
    stage, _ = stage_with_stuck_claims()
    looks: list[float] = []
    listed = stage.store.list_sessions

    def counted(*, live_only: bool = True):  # type: ignore[no-untyped-def]
        looks.append(stage.now_s())
        return listed(live_only=live_only)

    stage.store.list_sessions = counted  # type: ignore[method-assign]
    stage.pass_time(0.9)
    before = len(looks)
    stage.executor.succeed(stage.executor.claims[0])
    stage.pass_time(0.15)

    assert before == 3
    assert len(looks) == before + 1


def test_a_store_that_does_not_answer_leaves_stuck_claims_where_they_are() -> None:
    stage, stuck = stage_with_stuck_claims()
    add_session(stage)
    stage.store.elsewhere = [StoreUnavailable("gone")]

    stage.pass_time(0.15)
    first = in_hand(stage, stuck)
    stage.pass_time(0.3)

    assert first == 2
    assert in_hand(stage, stuck) == 0


@pytest.mark.faults
def test_what_stands_behind_a_long_body_is_run_by_the_other_runner_process(app: Pynenc, tmp_path: Path) -> None:
    announced, go = tmp_path / "announced", tmp_path / "go"
    with ExitStack() as stack:
        for number in range(2):
            runner = RunnerProcess(
                "tests.runners.process_app",
                *("--runner", "process", "--processes", "1"),
                environment={"PYNENC_URL": app.conf.url, "PYNENC__PREFETCH": "true"},
                log=tmp_path / f"runner{number}.log",
            )
            stack.callback(runner.stop)
        list(tasks.meet.parallelize([(str(tmp_path / "room"), 2)] * 2).results)
        list(tasks.echo.parallelize([(n,) for n in range(300)]).results)
        stack.callback(go.touch)

        group = app.submit_many(
            [
                tasks.announce_and_wait_for.call(str(announced), str(go)),
                *(tasks.pid.call() for _ in range(200)),
            ]
        )
        long, *short = group.invocations
        pids = {each.get(timeout=60) for each in short}
        still_runs = not long.status.is_final()

    assert still_runs
    assert pids.isdisjoint({int(announced.read_text())})


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Pynenc]:
    app = tasks.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'stuck.db'}"
    yield app
    app.release_backend()
