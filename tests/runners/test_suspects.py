"""Who runs apart after the end of a worker that ran several bodies."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import cast

import pytest

from pynenc.model.ids import Epoch, InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Claim
from pynenc.runners.dispatcher import Dispatcher
from pynenc.runners.suspects import Suspects
from pynenc.runners.worker_process import WorkerProcess


def claim_of(invocation_id: InvocationId, *, crashes: int = 0) -> Claim:
    return Claim(
        invocation_id=invocation_id,
        session=SessionId(1),
        epoch=Epoch(1),
        attempt=1,
        crashes=crashes,
        task_id="t",
        arguments=b"",
        policy=b"",
        meta=b"",
        queue="default",
        rank=0,
    )


@pytest.mark.parametrize("count", [2, 3, 4, 100])
def test_a_culprit_is_found_by_halving(count: int) -> None:
    suspects = Suspects(alone=False)
    ids = [new_invocation_id() for _ in range(count)]
    culprit = ids[count // 2]
    deaths, group = 1, ids

    while len(group) > 1:
        suspects.divide(group)
        groups = defaultdict(list)
        for each in ids:
            groups[suspects.group_of(claim_of(each))].append(each)
        group = next(members for members in groups.values() if culprit in members)
        deaths += 1

    assert group == [culprit]
    assert deaths <= 2 + count.bit_length()


def test_nobody_is_suspected_without_reason() -> None:
    suspects = Suspects(alone=False)

    assert suspects.group_of(claim_of(new_invocation_id())) is None
    assert suspects.group_of(claim_of(new_invocation_id(), crashes=1)) is None


def test_a_known_culprit_runs_alone_and_what_crashed_often_elsewhere_runs_apart() -> None:
    suspects = Suspects(alone=False)
    culprits = [new_invocation_id() for _ in range(3)]
    for each in culprits:
        suspects.convict(each)

    numbers = {suspects.group_of(claim_of(each, crashes=1)) for each in culprits}

    assert len(numbers) == 3
    assert {suspects.group_of(claim_of(new_invocation_id(), crashes=2)) for _ in range(3)} == {0}


def test_who_ends_in_peace_is_cleared() -> None:
    suspects = Suspects(alone=False)
    first, second = new_invocation_id(), new_invocation_id()
    suspects.divide([first, second])

    suspects.clear(first)

    assert suspects.group_of(claim_of(first)) is None
    assert suspects.group_of(claim_of(second)) is not None


def test_in_workers_of_one_slot_a_culprit_is_alone_anyway() -> None:
    suspects = Suspects(alone=True)
    culprit = new_invocation_id()

    suspects.convict(culprit)

    assert suspects.group_of(claim_of(culprit, crashes=4)) is None


def test_what_is_known_is_bounded() -> None:
    suspects = Suspects(alone=False)
    ids = [new_invocation_id() for _ in range(10_001)]

    for each in ids:
        suspects.convict(each)

    assert suspects.group_of(claim_of(ids[0], crashes=1)) is None
    assert suspects.group_of(claim_of(ids[-1], crashes=1)) is not None


def apart(*, waiting: bool) -> WorkerProcess:
    """Return what a dispatcher sees of a worker that has one suspect."""
    return cast(WorkerProcess, SimpleNamespace(apart=True, runs={"some": "run"}, busy=int(not waiting), retiring=""))


def test_suspects_that_wait_leave_room_for_the_suspects_they_wait_for() -> None:
    dispatcher = Dispatcher(lambda: 0.0, slots=4, ahead=True)
    parents = [apart(waiting=True) for _ in range(20)]
    dispatcher.add([claim_of(new_invocation_id(), crashes=2)])

    assert dispatcher.workers_apart(parents) == len(parents) + 1


def test_suspects_that_run_leave_no_room_beyond_the_limit() -> None:
    dispatcher = Dispatcher(lambda: 0.0, slots=4, ahead=True)
    dispatcher.add([claim_of(new_invocation_id(), crashes=2)])

    counts = [dispatcher.workers_apart([apart(waiting=False)] * count) for count in range(10)]

    assert counts == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]
