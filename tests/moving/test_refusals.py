"""What a move does not do, and that nothing changes when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynenc.composition import open_backend
from pynenc.core.moving import Move
from pynenc.errors import ConfigurationError, SchemaTooNew, StoreCorrupted, StoreError
from pynenc.io import run
from pynenc.ports.backend import Backend
from pynenc.ports.transfer import Carried, Seal, SealState
from pynenc.testing.clock import FakeClock
from tests import stores
from tests.moving.words import Content, content, filled, invocations, is_open, move, pair, seal_of, words

KINDS = ("memory", "sqlite", "redis", "postgresql")


class Scene:
    """A filled store, and one to move to."""

    def __init__(self, out: Backend, into: Backend, clock: FakeClock) -> None:
        self.out = out
        self.into = into
        self.clock = clock
        self.before: Content = filled(out, clock)

    def check_nothing_changed(self) -> None:
        assert content(self.out) == self.before
        assert is_open(self.out)
        assert is_open(self.into)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = FakeClock()
    with pair("sqlite", "memory", tmp_path, clock) as (out, into):
        yield Scene(out, into, clock)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_moves_while_a_runner_is_alive(kind: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with pair(kind, "memory", tmp_path, clock) as (out, into):
        scene = Scene(out, into, clock)
        words(out, clock).runner(name="the busy one")

        with pytest.raises(StoreError, match=r"1 runners or clients use .* \(the busy one\): stop them first"):
            move(out, into)

        assert invocations(into) == []
        assert is_open(out)
        words(out, clock).expire_sessions()
        scene.before = content(out)
        move(out, into)
        assert content(into) == scene.before


def test_it_waits_for_those_that_are_stopping(scene: Scene) -> None:
    session = words(scene.out, scene.clock).runner()
    said: list[str] = []

    def stop_when_waited_for(what: str, _done: int, _total: int) -> None:
        said.append(what)
        if what == "waiting for 1 sessions to end":
            run(scene.out.orchestrator.close_session(session))

    move(scene.out, scene.into, wait_s=60.0, report=stop_when_waited_for)

    assert said.count("waiting for 1 sessions to end") == 1
    assert invocations(scene.into) == scene.before[1]


def test_the_lease_of_a_dead_runner_ends_during_the_wait(scene: Scene) -> None:
    words(scene.out, scene.clock).runner()

    def let_time_pass(what: str, _done: int, _total: int) -> None:
        if what.startswith("waiting"):
            scene.clock.advance(3_600)

    move(scene.out, scene.into, wait_s=60.0, report=let_time_pass)

    assert is_open(scene.into)


@pytest.mark.parametrize("kind", KINDS)
def test_an_occupied_store_takes_nothing_in(kind: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with pair("sqlite", kind, tmp_path, clock) as (out, into):
        scene = Scene(out, into, clock)
        there = words(into, clock).submit()

        with pytest.raises(StoreError, match="already holds invocations or data"):
            move(out, into)

        scene.check_nothing_changed()
        assert [each.snapshot.call.invocation_id for each in invocations(into)] == [there]


def test_a_store_in_use_takes_nothing_in(scene: Scene) -> None:
    words(scene.into, scene.clock).runner()

    with pytest.raises(StoreError, match=r"use memory:// .*stop them first"):
        move(scene.out, scene.into)

    scene.check_nothing_changed()


def test_a_runner_that_died_in_the_target_is_no_hindrance(scene: Scene) -> None:
    words(scene.into, scene.clock).runner()
    scene.clock.advance(60)

    move(scene.out, scene.into)

    assert content(scene.into) == scene.before


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_is_not_moved_into_itself(kind: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with stores.fresh_store(kind, tmp_path, clock) as store:
        before = filled(store, clock)

        with pytest.raises(ConfigurationError, match="are the same store"):
            move(store, store)

        assert content(store) == before
        assert is_open(store)


def test_another_name_of_the_same_store_is_noticed(tmp_path: Path) -> None:
    clock = FakeClock()
    with stores.fresh_url("redis", tmp_path) as (url, app_id):
        one = open_backend(url, app_id=app_id, clock=clock)
        other = open_backend(url.replace("127.0.0.1", "localhost"), app_id=app_id, clock=clock)
        before = filled(one, clock)
        assert one.url != other.url

        with pytest.raises(ConfigurationError, match="are the same store"):
            move(one, other)

        assert content(one) == before
        assert is_open(one)
        one.close()
        other.close()


@pytest.mark.parametrize("state", list(SealState))
def test_a_source_that_another_move_sealed_is_left_alone(scene: Scene, state: SealState) -> None:
    theirs = seal(scene.out, state)

    with pytest.raises(StoreError, match=r"another move|has been moved"):
        move(scene.out, scene.into)
    with pytest.raises(StoreError, match="no unfinished move"):
        Move(scene.out, scene.into).abandon()

    assert run(scene.out.transfer.survey()).seal == theirs
    assert is_open(scene.into)


@pytest.mark.parametrize("state", [SealState.LEAVING, SealState.ARRIVING])
def test_a_target_that_another_move_sealed_is_left_alone(scene: Scene, state: SealState) -> None:
    theirs = seal(scene.into, state)

    with pytest.raises(StoreError, match="another move"):
        move(scene.out, scene.into)

    assert run(scene.into.transfer.survey()).seal == theirs
    assert content(scene.out) == scene.before
    assert is_open(scene.out)


def seal(store: Backend, state: SealState) -> Seal:
    """Let a store take part in a move with some other store."""
    first = Seal(SealState.ARRIVING if state is SealState.ARRIVING else SealState.LEAVING, "another", "redis://else/0")
    if first.state is SealState.ARRIVING:
        run(store.state_backend.purge())
    run(store.transfer.seal(first, instead_of=None))
    last = Seal(state, first.move, first.other)
    run(store.transfer.seal(last, instead_of=first))
    return last


def test_a_store_that_nobody_used_is_a_typing_error(tmp_path: Path) -> None:
    with pair("sqlite", "memory", tmp_path) as (out, into):
        with pytest.raises(StoreError, match=r"was never used.*Is the URL right"):
            move(out, into)

        assert is_open(out)
        assert is_open(into)


def test_contradictory_records_are_repaired_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [type("Broken", (), {"detail": "owned without an owner"})]
    monkeypatch.setattr(scene.out.orchestrator, "verify", lambda: _returns(broken))

    with pytest.raises(StoreCorrupted, match=r"owned without an owner.*doctor --repair"):
        move(scene.out, scene.into)

    monkeypatch.undo()
    scene.check_nothing_changed()


def _returns(value: Any) -> Any:
    yield from ()
    return value


def test_what_arrives_otherwise_than_it_left_stays_where_it_was(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    carry_in = scene.into.transfer.carry_in

    def forgetful(mark: Seal, items: list[Carried]) -> Any:
        return carry_in(mark, items[1:])

    monkeypatch.setattr(scene.into.transfer, "carry_in", forgetful)

    with pytest.raises(StoreCorrupted, match=r"invocation .* differs.*--abandon"):
        move(scene.out, scene.into)

    assert content(scene.out) == scene.before
    assert (seal_of(scene.out), seal_of(scene.into)) == (SealState.LEAVING, SealState.ARRIVING)
    Move(scene.out, scene.into).abandon()
    scene.check_nothing_changed()


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgresql"])
@pytest.mark.parametrize("is_source", [True, False])
def test_a_newer_schema_is_left_alone(kind: str, is_source: bool, tmp_path: Path) -> None:
    clock = FakeClock()
    with (
        stores.fresh_url(kind, tmp_path) as (url, app_id),
        stores.fresh_store("sqlite", tmp_path / "..", clock) as other,
    ):
        make_newer(url, app_id, clock)
        newer = open_backend(url, app_id=app_id, clock=clock)
        before = filled(other, clock)

        with pytest.raises(SchemaTooNew):
            move(*((newer, other) if is_source else (other, newer)))

        assert content(other) == before
        assert is_open(other)
        newer.close()


def make_newer(url: str, app_id: str, clock: FakeClock) -> None:
    """Let a store look like one of a later release."""
    backend = open_backend(url, app_id=app_id, clock=clock)
    words(backend, clock).submit()
    backend.close()
    if url.startswith("sqlite"):
        import sqlite3

        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        with file:
            file.execute("INSERT INTO meta VALUES ('post migration 999', 999)")
        file.close()
    elif url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            client.hset(f"{{{app_id}}}:meta", "schema", 999)
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"INSERT INTO pynenc_{app_id}.meta VALUES ('migration 99', '099_post_drop.sql')")
