"""Many invocations move a page at a time: how many there are does not show in the memory that is taken."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pynenc.core.moving import PAGE, Move
from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.model.records import Submission
from tests import stores
from tests.moving.words import pair

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MANY = 100_000
WATCHED_PAGES = 3
MOST_BYTES = 20 * PAGE * 1_024


class Watch:
    """Notes how many objects there are after each tenth part, and the peak of memory during a few pages of it."""

    def __init__(self) -> None:
        self._pages = 0
        self.objects: list[int] = []
        self.peaks: list[int] = []
        self.steps: list[int] = []
        self._done = 0

    def __call__(self, _what: str, done: int, _total: int) -> None:
        self.steps.append(done - self._done)
        self._done, self._pages = done, self._pages + 1
        in_part = self._pages % (MANY // PAGE // 10)
        if in_part == 0:
            self.objects.append(len(gc.get_objects()))
            # Tracing slows everything down, so not all of it is traced.
            tracemalloc.start()
        elif in_part == WATCHED_PAGES and tracemalloc.is_tracing():
            self.peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()


def test_a_hundred_thousand_invocations_move_in_the_memory_of_some_pages(tmp_path: Path) -> None:
    watch = Watch()
    with stores.fresh_store("sqlite", tmp_path) as out, stores.fresh_store("sqlite", tmp_path) as into:
        for first in range(0, MANY, 10_000):
            run(out.orchestrator.submit(submissions(range(first, first + 10_000))))

        moved = Move(out, into, report=watch).carry()
        tracemalloc.stop()

        assert moved.invocations == run(into.state_backend.count()) == MANY
        assert max(watch.steps) == PAGE
        assert len(watch.peaks) >= 19
        assert max(watch.peaks) < MOST_BYTES
        assert max(watch.objects) - min(watch.objects) < 20 * PAGE


@pytest.mark.parametrize(("source", "target"), [("redis", "postgresql"), ("postgresql", "redis")])
def test_servers_are_asked_a_page_at_a_time(source: str, target: str, tmp_path: Path) -> None:
    number = 10 * PAGE + 1
    with pair(source, target, tmp_path) as (out, into):
        run(out.orchestrator.submit(submissions(range(number))))
        pages: list[int] = []

        Move(out, into, report=lambda _what, done, _total: pages.append(done)).carry()

        assert run(into.state_backend.count()) == number
        assert max(later - earlier for earlier, later in pairwise(pages)) == PAGE


def submissions(numbers: Sequence[int]) -> list[Submission]:
    return [
        Submission(invocation_id=InvocationId(number.to_bytes(16, "big")), task_id="tests.task", arguments=b"x" * 200)
        for number in numbers
    ]
