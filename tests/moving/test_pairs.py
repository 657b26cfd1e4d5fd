"""A move between every two kinds of store carries everything, and it runs to its end there."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pynenc.composition import open_backend
from pynenc.core.moving import Move
from pynenc.errors import StoreSealed
from pynenc.io import run
from pynenc.ports.transfer import SealState
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.population import FREE_KEY, HELD_KEY, KEPT_KEY, PAUSED, holds, run_to_the_end
from tests import stores
from tests.moving.words import KINDS, content, filled, invocations, is_open, pair, seal_of, words

# One schema serves all tests of a process, so PostgreSQL is not moved to itself here.
PAIRS = [each for each in product(KINDS, KINDS) if each != ("postgresql", "postgresql")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_everything_moves_and_goes_on(source: str, target: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with pair(source, target, tmp_path, clock) as (out, into):
        before = filled(out, clock)
        state = run(out.dump())

        moved = Move(out, into).carry()

        assert (moved.invocations, moved.data) == (len(before[1]), len(before[2]))
        assert content(into) == before
        assert run(into.dump()) == state
        assert run(into.orchestrator.verify()) == []
        assert seal_of(out) is SealState.MOVED
        assert invocations(out) == []
        with pytest.raises(StoreSealed, match="use that URL"):
            words(out).submit()

        store = words(into, clock)
        assert [holds(store, key) for key in (HELD_KEY, KEPT_KEY, FREE_KEY)] == [True, True, False]
        pauses = [each.pause for each in run(into.orchestrator.queue_stats()) if each.pause]
        assert [(each.queue, each.by, each.reason) for each in pauses] == [
            ("never used", "", ""),
            (PAUSED, "anna@ops", "moving"),
        ]
        live = {each.snapshot.call.invocation_id for each in before[1] if each.snapshot.control is not None}
        ran = run_to_the_end(store)
        assert len(ran) == len(set(ran))
        assert live <= set(ran)
        assert run(into.orchestrator.verify()) == []


@pytest.mark.parametrize("other", ["sqlite", "redis", "postgresql"])
def test_what_moved_can_move_back(other: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with pair("sqlite", other, tmp_path, clock) as (one, two):
        before = filled(one, clock)

        Move(one, two).carry()
        Move(two, one).carry()

        assert content(one) == before
        assert is_open(one)
        assert seal_of(two) is SealState.MOVED


def test_nothing_is_left_on_a_redis_server_but_the_seal(tmp_path: Path) -> None:
    import redis

    clock = FakeClock()
    with stores.fresh_url("redis", tmp_path) as (url, app_id), stores.fresh_store("memory", tmp_path, clock) as into:
        out = open_backend(url, app_id=app_id, clock=clock)
        filled(out, clock)

        Move(out, into).carry()
        out.close()

        with redis.Redis.from_url(url) as client:
            assert sorted(client.keys(f"{{{app_id}}}:*")) == [
                f"{{{app_id}}}:{key}".encode() for key in ("meta", "sealed")
            ]


def test_nothing_is_left_in_a_postgresql_schema_but_the_seal(tmp_path: Path) -> None:
    import psycopg

    clock = FakeClock()
    with (
        stores.fresh_url("postgresql", tmp_path) as (url, app_id),
        stores.fresh_store("memory", tmp_path, clock) as into,
    ):
        out = open_backend(url, app_id=app_id, clock=clock)
        filled(out, clock)

        Move(out, into).carry()
        out.close()

        with psycopg.connect(url) as connection:
            listed = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'meta'"
            tables = [name for (name,) in connection.execute(listed, (f"pynenc_{app_id}",))]
            full = [
                name for name in tables if connection.execute(f"SELECT FROM pynenc_{app_id}.{name} LIMIT 1").rowcount
            ]
            assert len(tables) > 10
            assert full == []


def test_a_move_that_is_complete_can_be_repeated(tmp_path: Path) -> None:
    clock = FakeClock()
    with pair("sqlite", "memory", tmp_path, clock) as (out, into):
        before = filled(out, clock)
        Move(out, into).carry()

        Move(out, into).carry()

        assert content(into) == before


def test_a_target_that_was_used_and_emptied_forgets_its_former_life(tmp_path: Path) -> None:
    clock = FakeClock()
    with pair("sqlite", "memory", tmp_path, clock) as (out, into):
        former = words(into, clock)
        for _ in range(9):
            former.runner(name="of a former life")
            former.submit(queue="of a former life")
        former.expire_sessions()
        run(into.orchestrator.pause("of a former life"))
        run(into.state_backend.purge())
        before = filled(out, clock)

        Move(out, into).carry()

        assert content(into)[0].sessions == before[0].sessions
        assert content(into)[0].queues == before[0].queues
        assert run(into.dump())["sessions"] != {}
