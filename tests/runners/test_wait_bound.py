"""What a runner may claim when as many of its bodies wait as may."""

from __future__ import annotations

from itertools import pairwise

from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import Claim, Suspend
from pynenc.runners.run_table import Run, RunTable
from pynenc.runners.wait_bound import Only, ParkLimits, WaitBound


class Stage:
    """A table of runs with a bound, and time that passes when it is told."""

    def __init__(self, *, most: int = 2, stacks: int | None = None, slots: int = 1) -> None:
        self.now_s = 0.0
        self.table = RunTable()
        self._waits: dict[InvocationId, tuple[InvocationId, ...]] = {}
        self.bound = WaitBound(
            self.table,
            ParkLimits(bodies=most, stacks=most if stacks is None else stacks),
            slots=slots,
            waits_of=lambda each: self._waits.get(each, ()),
            clock=lambda: self.now_s,
        )

    def claim(self, number: int, *, rank: int) -> Claim:
        return Claim(
            invocation_id=name(number),
            session=SessionId(1),
            epoch=Epoch(1),
            attempt=1,
            crashes=0,
            task_id="t",
            arguments=b"",
            policy=b"",
            meta=b"",
            queue="q",
            rank=rank,
        )

    def waits(self, number: int, *, rank: int, on: tuple[int, ...] = (), whole: bool = True) -> Run:
        """Claim, begin and let wait."""
        run = self.table.get(name(number)) or self.table.add(self.claim(number, rank=rank))
        self.table.began(run, self.now_s, 1)
        ids = self._waits[name(number)] = tuple(name(each) for each in on)
        if whole:
            self.table.suspended(run, Suspend(invocation_id=name(number), epoch=Epoch(1), waits=ids), self.now_s)
        else:
            self.table.branch_waits(run, self.now_s)
        return run

    def look(self, spare: int = 1, *, found: bool = False) -> None:
        self.bound.ids()
        self.bound.looked(spare, found=found)


def name(number: int) -> InvocationId:
    return InvocationId(number.to_bytes(16, "big"))


def test_below_the_bound_any_work_will_do() -> None:
    stage = Stage(most=2)

    stage.waits(1, rank=10)

    assert not stage.bound.reached
    assert stage.bound.only() is None


def test_at_the_bound_work_has_to_rank_before_the_first_that_wait() -> None:
    stage = Stage(most=3, slots=2)

    for number, rank in ((1, 30), (2, 10), (3, 20)):
        stage.waits(number, rank=rank)

    assert stage.bound.only() == Only(before=20, awaited=False)


def test_what_is_claimed_there_pushes_others_out_of_the_first() -> None:
    stage = Stage(most=3, slots=2)
    for number, rank in ((1, 30), (2, 10), (3, 20)):
        stage.waits(number, rank=rank)

    stage.waits(4, rank=9)

    assert stage.bound.only() == Only(before=10, awaited=False)


def test_threads_that_wait_have_a_bound_of_their_own() -> None:
    stage = Stage(most=100, stacks=1)
    stage.waits(1, rank=1, whole=False)
    before = stage.bound.reached

    stage.waits(2, rank=2)

    assert not before
    assert stage.bound.reached


def test_who_goes_on_or_ends_waits_no_more() -> None:
    stage = Stage(most=2)
    one, other = stage.waits(1, rank=1), stage.waits(2, rank=2)

    stage.table.resumed(one, 0.0)
    first = stage.bound.reached
    stage.table.suspended(one, Suspend(invocation_id=name(1), epoch=Epoch(1), waits=()), 0.0)
    again = stage.bound.reached
    stage.table.remove(other.invocation_id, other.epoch)

    assert (first, again, stage.bound.reached) == (False, True, False)


def test_near_the_bound_nothing_is_claimed_ahead_beyond_it() -> None:
    stage = Stage(most=4, slots=2)
    alone = stage.bound.want(50, 2)

    stage.waits(1, rank=1)

    assert alone == 50
    assert stage.bound.want(50, 2) == 5


def test_work_of_the_first_is_asked_for_by_id_unless_it_is_here() -> None:
    stage = Stage(most=2, slots=1)
    stage.waits(1, rank=1, on=(11, 12, 13))
    stage.waits(2, rank=2, on=(21,))
    stage.table.add(stage.claim(12, rank=50))

    assert stage.bound.ids() == [name(11), name(13)]


def test_what_was_claimed_by_id_ranks_before_who_waits_for_it() -> None:
    stage = Stage(most=2, slots=1)
    stage.waits(1, rank=10, on=(11,))
    stage.waits(2, rank=20)
    stage.bound.ids()

    claim = stage.claim(11, rank=500)
    stage.table.add(claim)
    stage.bound.claimed([claim])
    stage.waits(11, rank=500)

    assert stage.bound.only() == Only(before=9, awaited=False)


def test_what_the_first_wait_for_and_waits_here_itself_comes_first_as_well() -> None:
    stage = Stage(most=3, slots=1)
    stage.waits(1, rank=1, on=(2,))
    stage.waits(2, rank=20, on=(3,))
    stage.waits(3, rank=30, on=(4,))

    ids = stage.bound.ids()

    assert ids == [name(4)]


def test_a_cycle_that_nobody_refused_yet_is_no_endless_loop() -> None:
    stage = Stage(most=2, slots=2)
    stage.waits(1, rank=1, on=(2,))
    stage.waits(2, rank=2, on=(1,))

    assert stage.bound.ids() == []


def test_many_ids_are_asked_for_in_parts() -> None:
    stage = Stage(most=1)
    stage.waits(1, rank=1, on=tuple(range(1_000, 1_300)))

    first, second, third = stage.bound.ids(), stage.bound.ids(), stage.bound.ids()

    assert [*first, *second] == [name(number) for number in range(1_000, 1_300)]
    assert third == first


def test_it_looks_when_something_changed_and_ever_less_often_otherwise() -> None:
    stage = Stage(most=1)
    stage.waits(1, rank=1)
    fresh = stage.bound.look_due(1)
    stage.look()
    pauses = []
    for _ in range(8):
        due_s = stage.bound.due_at_s(1)
        assert due_s is not None
        pauses.append(due_s - stage.now_s)
        quiet = stage.bound.look_due(1)
        stage.now_s = due_s
        stage.look()

    stage.waits(2, rank=2)

    assert fresh
    assert not quiet
    assert max(pauses) <= 1.0
    assert stage.bound.look_due(1)
    assert not stage.bound.look_due(0)


def test_when_everything_stands_still_one_piece_of_any_needed_work_is_asked_for() -> None:
    stage = Stage(most=1, slots=3)
    stage.waits(1, rank=1)

    asked_at_s = []
    while stage.now_s < 100.0:
        if stage.bound.only() == Only(before=None, awaited=True):
            assert stage.bound.want(50, 3) == 1
            asked_at_s.append(stage.now_s)
        stage.look(spare=3)
        stage.now_s = stage.bound.due_at_s(3) or 0.0

    gaps = [later - earlier for earlier, later in pairwise(asked_at_s)]
    assert len(asked_at_s) >= 5
    assert gaps == sorted(gaps)


def test_it_stands_still_no_more_while_something_runs() -> None:
    stage = Stage(most=1)
    stage.waits(1, rank=1)
    stage.table.add(stage.claim(2, rank=0))

    for _ in range(50):
        stage.look()
        stage.now_s += 1.0

    assert stage.bound.only() == Only(before=1, awaited=False)
