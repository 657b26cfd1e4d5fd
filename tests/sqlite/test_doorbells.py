"""Bells: who is rung, across processes, and what is left of them."""

from __future__ import annotations

import os
import select
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc.backends.sqlite import SqliteBackend, doorbell, open_backend
from pynenc.io import run
from pynenc.model.ids import SessionId
from pynenc.model.records import Exchange, Submission
from pynenc.ports.doorbell import Doorbell
from tests.sqlite.conftest import Open
from tests.sqlite.processes import Child
from tests.sqlite.words import items, runner, submit, successes


class Sleeper:
    """A session with a bell that waits for work."""

    def __init__(self, store: SqliteBackend, *, queues: tuple[str, ...] = ()) -> None:
        self.store = store
        self.queues = queues
        self.bell: Doorbell = store.orchestrator.doorbell()
        self.session: SessionId = runner(store, doorbell=self.bell.address, queues=queues)

    def sleep(self) -> None:
        """Announce that it sleeps; nothing may be there."""
        reply = run(
            self.store.orchestrator.exchange(Exchange(session=self.session, want=1, idle=True, queues=self.queues))
        )
        assert not reply.claims

    def rung(self) -> bool:
        """Whether somebody rang since the last time."""
        readable, _, _ = select.select([self.bell], [], [], 0)
        self.bell.clear()
        return bool(readable)


@pytest.fixture(params=["unix", "udp", "long path"])
def belled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteBackend]:
    """Stores whose bells are of each kind."""
    path = tmp_path / "store.db"
    if request.param == "udp":
        monkeypatch.setattr(doorbell, "has_unix_sockets", lambda: False)
    if request.param == "long path":
        path = tmp_path / ("deep" * 30) / "store.db"
        monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp")
    store = open_backend(f"sqlite:///{path}", options={})
    yield store
    store.close()


def test_another_process_rings_a_sleeper(belled: SqliteBackend) -> None:
    sleeper = Sleeper(belled)
    sleeper.sleep()

    child = Child(lambda: submit(belled))
    readable, _, _ = select.select([sleeper.bell], [], [], 20)
    child.result()

    assert readable
    sleeper.bell.close()


def test_nobody_is_rung_twice_for_one_sleep(belled: SqliteBackend) -> None:
    sleeper = Sleeper(belled)
    sleeper.sleep()

    submit(belled)
    first = sleeper.rung()
    submit(belled)

    assert first
    assert not sleeper.rung()
    sleeper.bell.close()


def test_no_more_sleepers_are_woken_than_there_is_work(store: SqliteBackend) -> None:
    sleepers = [Sleeper(store) for _ in range(5)]
    for sleeper in sleepers:
        sleeper.sleep()

    submit(store, 2)

    assert sum(sleeper.rung() for sleeper in sleepers) == 2


def test_only_those_who_serve_the_queue_are_woken(store: SqliteBackend) -> None:
    mail, others, everything = (Sleeper(store, queues=("mail",)), Sleeper(store, queues=("other",)), Sleeper(store))
    for sleeper in (mail, others, everything):
        sleeper.sleep()

    run(store.orchestrator.submit([*items(1, queue="mail"), *items(1, queue="rust:fast")]))

    assert [mail.rung(), others.rung(), everything.rung()] == [True, False, False]


def test_the_earliest_timer_wakes_one_sleeper_so_that_it_can_set_its_alarm(store: SqliteBackend) -> None:
    sleepers = [Sleeper(store), Sleeper(store)]
    for sleeper in sleepers:
        sleeper.sleep()

    run(store.orchestrator.submit([_delayed(60_000_000)]))
    woken_by_first = [sleeper.rung() for sleeper in sleepers]
    run(store.orchestrator.submit([_delayed(90_000_000)]))

    assert woken_by_first == [True, False]
    assert not any(sleeper.rung() for sleeper in sleepers)


def _delayed(delay_us: int) -> Submission:
    return Submission(invocation_id=items(1)[0].invocation_id, task_id="a.task", arguments=b"", delay_us=delay_us)


def test_whoever_watches_is_rung_at_the_end_and_whoever_runs_at_a_cancel(store: SqliteBackend) -> None:
    watcher, worker = Sleeper(store), Sleeper(store)
    ids = submit(store, 2)
    run(store.orchestrator.watch(watcher.session, ids))
    claims = run(store.orchestrator.exchange(Exchange(session=worker.session, want=2))).claims

    run(store.orchestrator.cancel([ids[0]]))
    worker_rung, watcher_rung = worker.rung(), watcher.rung()
    run(store.orchestrator.exchange(Exchange(session=worker.session, completions=successes([claims[1]]))))

    assert (worker_rung, watcher_rung) == (True, False)
    assert (worker.rung(), watcher.rung()) == (False, True)


def test_a_bell_rings_itself_even_without_its_file(store: SqliteBackend) -> None:
    sleeper = Sleeper(store)
    os.unlink(sleeper.bell.address.removeprefix("unix:"))

    sleeper.bell.ring()

    assert sleeper.rung()


def test_ringing_somebody_who_died_fails_nothing(store: SqliteBackend) -> None:
    sleeper = Sleeper(store)
    sleeper.sleep()
    sleeper.bell.close()

    assert len(submit(store)) == 1


def test_a_full_bell_never_blocks_who_rings(store: SqliteBackend) -> None:
    sleeper = Sleeper(store)

    for _ in range(10_000):
        sleeper.bell.ring()

    assert sleeper.rung()
    assert not sleeper.rung()


def test_the_socket_of_a_killed_process_is_cleared_away(path: Path, store: SqliteBackend) -> None:
    submit(store)
    made, tell = os.pipe()

    def open_bell_and_hang() -> None:
        bell = store.orchestrator.doorbell()
        os.write(tell, bell.address.encode())
        os.read(os.pipe()[0], 1)

    child = Child(open_bell_and_hang)
    left = Path(os.read(made, 4096).decode().removeprefix("unix:"))
    child.kill()
    existed = left.exists()
    bell = store.orchestrator.doorbell()

    assert existed
    assert os.listdir(f"{path}.wake") == [os.path.basename(bell.address)]
    bell.close()
    assert os.listdir(f"{path}.wake") == []


def test_a_child_that_closes_an_inherited_bell_leaves_it_to_its_parent(store: SqliteBackend) -> None:
    sleeper = Sleeper(store)
    sleeper.sleep()

    Child(sleeper.bell.close).result()
    submit(store)

    assert sleeper.rung()


def test_the_folder_of_bells_is_for_its_owner_only(path: Path, store: SqliteBackend) -> None:
    store.orchestrator.doorbell().close()

    assert os.stat(f"{path}.wake").st_mode & 0o777 == 0o700


def test_bells_work_where_the_folder_cannot_be_written(path: Path, open_store: Open) -> None:
    Path(f"{path}.wake").write_text("in the way")
    sleeper = Sleeper(open_store())
    sleeper.sleep()

    submit(open_store())

    assert sleeper.rung()
    sleeper.bell.close()
