"""A mover that dies after any of its requests loses nothing and leaves nothing to be found twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.core import moving
from pynenc.core.moving import Move
from pynenc.errors import StoreError
from pynenc.io import run
from pynenc.ports.backend import Backend
from pynenc.ports.transfer import SealState
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.population import run_to_the_end
from pynenc.testing.crashing import SimulatedCrash
from tests.moving.mortal import Fate
from tests.moving.words import Content, content, filled, invocations, is_open, load, pair, seal_of, words

pytestmark = pytest.mark.timeout(300)

PAIRS = [("memory", "memory"), ("sqlite", "redis"), ("redis", "postgresql"), ("postgresql", "sqlite")]
CRASH, ABANDON = "the same move again", "--abandon"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "PAGE", 12)
    monkeypatch.setattr(moving, "DATA_PAGE", 1)


@pytest.fixture
def everything() -> tuple[Content, FakeClock]:
    clock = FakeClock()
    return filled(MemoryBackend(clock=clock), clock), clock


def die_after(request: int, act: Callable[[Move], object], out: Backend, into: Backend) -> bool:
    """Whether the mover came so far as to die there."""
    fate = Fate(request)
    try:
        act(Move(fate.over(out), fate.over(into)))
    except SimulatedCrash:
        return True
    assert fate.requests < request
    return False


def every_crash(out: Backend, into: Backend, before: Content) -> Iterator[int]:
    """Yield after each way to die, with both stores as that leaves them; at last after none."""
    request, died = 0, True
    while died:
        request += 1
        load(out, before)
        load(into, None)
        died = die_after(request, Move.carry, out, into)
        yield request
    assert request > 25, "there are fewer requests than a move has steps"


def check_nothing_is_twice_and_nothing_lost(out: Backend, into: Backend, before: Content) -> None:
    claimable = [store for store in (out, into) if is_open(store) and invocations(store)]
    assert len(claimable) <= 1
    # `moved` is what makes the target the one that counts.
    assert content(into if seal_of(out) is SealState.MOVED else out) == before


@pytest.mark.parametrize("ending", [CRASH, ABANDON])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_after_any_death_the_move_goes_on_or_is_taken_back(
    source: str, target: str, ending: str, everything: tuple[Content, FakeClock], tmp_path: Path
) -> None:
    before, clock = everything
    endings = set()
    with pair(source, target, tmp_path, clock) as (out, into):
        for request in every_crash(out, into, before):
            check_nothing_is_twice_and_nothing_lost(out, into, before)
            if ending is CRASH:
                Move(out, into).carry()
                endings.add(check_moved(out, into, before))
            else:
                endings.add(abandon_and_check(out, into, before, request))

    assert endings == {"moved"} if ending is CRASH else {"open", "taken back", "moved"}


def check_moved(out: Backend, into: Backend, before: Content) -> str:
    assert content(into) == before
    assert is_open(into)
    assert (seal_of(out), invocations(out)) == (SealState.MOVED, [])
    return "moved"


def abandon_and_check(out: Backend, into: Backend, before: Content, request: int) -> str:
    state = seal_of(out)
    if state is SealState.LEAVING:
        Move(out, into).abandon()
    else:
        with pytest.raises(StoreError, match="no unfinished move"):
            Move(out, into).abandon()
    if state is SealState.MOVED:
        check_nothing_is_twice_and_nothing_lost(out, into, before)
        return "moved"
    assert content(out) == before, request
    assert is_open(out)
    assert invocations(into) == []
    assert is_open(into)
    return "open" if state is None else "taken back"


def test_taking_back_may_die_anywhere_too(everything: tuple[Content, FakeClock]) -> None:
    before, clock = everything
    out, into = MemoryBackend(clock=clock), MemoryBackend(clock=clock)
    for request in every_crash(out, into, before):
        state, died, step = seal_of(out), True, 0
        while state is SealState.LEAVING and died:
            step += 1
            load(out, before)
            load(into, None)
            die_after(request, Move.carry, out, into)

            died = die_after(step, Move.abandon, out, into)

            check_nothing_is_twice_and_nothing_lost(out, into, before)
            if died and not (is_open(out) and is_open(into)):
                Move(out, into).abandon()
            assert content(out) == before
            assert is_open(out)
            assert is_open(into)
            assert invocations(into) == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_mover_that_another_one_overtook_brings_nothing_back(
    kind: str, everything: tuple[Content, FakeClock], tmp_path: Path
) -> None:
    before, clock = everything
    with pair(kind, kind, tmp_path, clock) as (out, into):

        def finish_and_use() -> None:
            Move(out, into).carry()
            run_to_the_end(words(into, clock))
            run(into.state_backend.purge())

        struck, request, outcomes = True, 0, set()
        while struck:
            request += 1
            load(out, before)
            load(into, None)
            fate = Fate(request, finish_and_use)
            try:
                Move(fate.over(out), fate.over(into)).carry()
                outcomes.add("found it done")
            except StoreError:
                outcomes.add("refused")
            struck = fate.requests >= request
            if struck:
                assert invocations(into) == []
                assert is_open(into)
                assert not is_open(out)
        assert outcomes == {"found it done", "refused"}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_mover_whose_move_was_taken_back_changes_nothing(
    kind: str, everything: tuple[Content, FakeClock], tmp_path: Path
) -> None:
    before, clock = everything
    taken_back = 0
    with pair(kind, kind, tmp_path, clock) as (out, into):

        def take_back() -> None:
            nonlocal taken_back
            if seal_of(out) is SealState.LEAVING:
                Move(out, into).abandon()
                taken_back = fate.requests

        struck, request = True, 0
        while struck:
            request += 1
            load(out, before)
            load(into, None)
            fate = Fate(request, take_back)
            try:
                Move(fate.over(out), fate.over(into)).carry()
                assert taken_back != request
            except StoreError:
                assert taken_back == request
                assert content(out) == before
                assert is_open(out)
                assert invocations(into) == []
            struck = fate.requests >= request
    assert taken_back > 10
