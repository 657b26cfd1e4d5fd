"""A store that is in use survives `fork`, on both sides."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

from pynenc.backends.sqlite import SqliteBackend, open_backend
from pynenc.io import arun, run
from pynenc.model.ids import InvocationId
from tests.sqlite.processes import Child
from tests.sqlite.words import drain, items, known, runner, submit


def test_parent_and_child_go_on_with_the_same_object(store: SqliteBackend) -> None:
    before = submit(store, 5)

    child = Child(lambda: [submit(store, 10) for _ in range(30)])
    mine = [submit(store, 10) for _ in range(30)]
    theirs = child.result()

    everything = [*before, *(each for batch in [*mine, *theirs] for each in batch)]
    assert known(store, everything) == 605
    assert run(store.orchestrator.verify()) == []


def test_a_child_that_ends_does_not_disturb_the_locks_of_its_parent(path: Path, store: SqliteBackend) -> None:
    submit(store, 5)
    for _ in range(5):
        Child(lambda: submit(store)).result()
        submit(store)

    # If a lock were missing, this process would take itself for the last one and remove the log on closing.
    other = Child(lambda: _open_and_close(path))
    other.result()
    ids = submit(store, 5)

    assert os.path.exists(f"{path}-wal")
    assert Child(lambda: known(open_backend(f"sqlite:///{path}", options={}), ids)).result() == 5
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _open_and_close(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("SELECT count(*) FROM call").fetchone()
    connection.close()


def test_a_parent_that_closes_leaves_its_children_a_whole_store(path: Path, store: SqliteBackend) -> None:
    submit(store, 5)
    go, begin = os.pipe()
    ready, opened = os.pipe()

    def submit_before_and_after() -> list[InvocationId]:
        first = submit(store, 5)
        os.write(opened, b".")
        os.read(go, 1)
        return [*first, *submit(store, 5)]

    child = Child(submit_before_and_after)
    os.read(ready, 1)
    store.close()
    os.write(begin, b".")
    theirs = child.result()

    assert known(store, theirs) == 10
    assert run(store.state_backend.count()) == 15
    for descriptor in (go, begin, ready, opened):
        os.close(descriptor)


def test_forking_while_other_threads_write_neither_hangs_nor_loses_anything(store: SqliteBackend) -> None:
    stop = threading.Event()
    written: list[InvocationId] = []

    def write() -> None:
        while not stop.is_set():
            written.extend(submit(store, 5))
            run(store.orchestrator.queue_stats())

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = [Child(lambda: submit(store, 7)) for _ in range(8)]
    theirs = [each for child in children for each in child.result()]
    stop.set()
    for thread in threads:
        thread.join()

    assert known(store, written) == len(written)
    assert known(store, theirs) == 56
    assert run(store.orchestrator.verify()) == []


def test_event_loops_work_on_both_sides(store: SqliteBackend) -> None:
    import asyncio

    asyncio.run(_submit_on_loop(store))

    child = Child(lambda: asyncio.run(_submit_on_loop(store)))
    asyncio.run(_submit_on_loop(store))
    child.result()

    assert len(drain(store, runner(store))) == 6


async def _submit_on_loop(store: SqliteBackend) -> None:
    await arun(store.orchestrator.submit(items(2)))
