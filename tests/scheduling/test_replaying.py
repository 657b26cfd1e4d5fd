"""Playing a workload: what begins when, on how many slots."""

from __future__ import annotations

import pytest

from pynenc import Pynenc
from pynenc.composition import open_backend
from pynenc.core.recorded import recorded_work
from pynenc.core.replaying import Begun, ReplayClock, Work, replay
from pynenc.io import run
from pynenc.scheduling.naming import SHIPPED, scheduler_of

SECOND_US = 1_000_000


def played(workload: list[Work], scheduler: str = "fifo", *, slots: int = 1) -> list[Begun]:
    clock = ReplayClock()
    return replay(workload, scheduler_of(scheduler), open_backend("memory://", clock=clock), clock, slots=slots)


def calls(task_id: str, *at_s: float, ran_s: float = 1) -> list[Work]:
    return [Work(task_id=task_id, at_us=round(at * SECOND_US), ran_us=round(ran_s * SECOND_US)) for at in at_s]


def test_work_waits_for_a_slot_and_runs_as_long_as_it_did() -> None:
    begun = played(calls("m.f", 0, 0, 0.5, 10), slots=2)

    assert [(each.at_us / SECOND_US, each.slot, each.waited_us / SECOND_US) for each in begun] == [
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 0.5),
        (10, 0, 0),
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scheduler_begins_everything_once_and_no_slot_idles_beside_ready_work(name: str) -> None:
    workload = sorted(
        calls("m.long", *range(5), ran_s=7) + calls("m.short", *range(20), ran_s=0.5), key=lambda work: work.at_us
    )

    begun = played(workload, name, slots=2)

    assert len(begun) == len(workload)
    ends = sorted(each.at_us + each.work.ran_us for each in begun)
    assert all(each.waited_us == 0 or each.at_us in ends for each in begun)


def test_a_child_begins_before_roots_that_came_earlier() -> None:
    workload = [*calls("root", 0, 1, 2, ran_s=5), Work(task_id="child", at_us=3 * SECOND_US, ran_us=1, parent=0)]

    assert [each.work.task_id for each in played(workload)] == ["root", "child", "root", "root"]


def test_recorded_work_can_be_played(tmp_path: object) -> None:
    app = Pynenc("memory://", app_id="tests", scheduler="priority")

    @app.task(priority=7, queue="mail")
    def note(number: int) -> None:
        if number == 2:
            raise ValueError

    with app.running():
        assert note.map(range(3)).wait(30)
    note(4)

    recorded = run(recorded_work(app, last=10))

    assert [(each.task_id, each.queue, each.priority) for each in recorded.workload] == [
        (note.task_id, "mail", 7.0)
    ] * 3
    assert all(each.ran_us >= 0 for each in recorded.workload)
    assert all(us >= 0 for us in recorded.waited_us)
    assert 1 <= recorded.at_once <= 3
    assert run(recorded_work(app, last=2)).workload == recorded.workload[1:]
    assert run(recorded_work(app, last=10, queues=("other",))).workload == []
    assert len(played(recorded.workload, "priority")) == 3
    app.close()
