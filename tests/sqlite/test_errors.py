"""Every trouble with the file has its own error, which says what to do; nothing is lost by it."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pynenc.backends.sqlite import SqliteBackend, open_backend
from pynenc.errors import (
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnavailable,
)
from pynenc.io import run
from pynenc.model.ids import InvocationId
from tests.sqlite.conftest import Open
from tests.sqlite.processes import Child
from tests.sqlite.words import drain, items, known, runner, submit

_NOBODY = 65534


def as_plain_user(function: Callable[[], Any]) -> Any:
    """Run `function` in a child that has no right to write everything everywhere."""

    def drop_rights_and_run() -> Any:
        if os.geteuid() == 0:
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        return function()

    return Child(drop_rights_and_run).result()


def error_of(function: Callable[[], Any]) -> tuple[str, str]:
    """Return the class and the text of the error that `function` raises."""
    try:
        function()
    except StoreError as error:
        return type(error).__name__, str(error)
    return "", ""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users may reach; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="pynenc-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_file_that_may_not_be_written_is_read_only(public_folder: Path) -> None:
    path = public_folder / "store.db"
    store = open_backend(f"sqlite:///{path}", options={})
    submit(store)
    store.close()
    path.chmod(0o444)

    kind, text = as_plain_user(lambda: error_of(lambda: submit(open_backend(f"sqlite:///{path}", options={}))))

    assert kind == StoreReadOnly.__name__
    assert str(path) in text
    assert "right to write" in text


def test_a_folder_that_may_not_be_written_is_read_only(public_folder: Path) -> None:
    path = public_folder / "store.db"
    public_folder.chmod(0o555)

    kind, text = as_plain_user(lambda: error_of(lambda: submit(open_backend(f"sqlite:///{path}", options={}))))

    assert kind == StoreReadOnly.__name__
    assert "folder" in text


def fill(store: SqliteBackend) -> tuple[list[InvocationId], str, str]:
    """Submit until the store refuses; return what it acknowledged, and the error."""
    acknowledged: list[InvocationId] = []
    for _ in range(10_000):
        try:
            acknowledged += submit(store, 20, arguments=b"x" * 500)
        except StoreError as error:
            return acknowledged, type(error).__name__, str(error)
    raise AssertionError("it never became full")


def test_a_full_disk_loses_nothing_and_work_goes_on_once_there_is_space(path: Path) -> None:
    def fill_up_and_go_on() -> tuple[str, str, int, int, int, int]:
        store = open_backend(f"sqlite:///{path}", options={})
        submit(store)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, most))
        ids, kind, text = fill(store)
        kept_while_full = known(store, ids)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        submit(store, 5)
        done = drain(store, runner(store))
        return kind, text, len(ids), kept_while_full, known(store, ids), len(done)

    kind, text, acknowledged, while_full, after, done = Child(fill_up_and_go_on).result()

    assert kind == StoreFull.__name__
    assert "free some space" in text
    assert acknowledged > 0
    assert while_full == after == acknowledged
    assert done == acknowledged + 1 + 5


def test_a_store_that_reaches_its_page_limit_is_full(store: SqliteBackend) -> None:
    submit(store)
    connection = store._store.database._writer
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 60")

    ids, kind, _ = fill(store)
    submit(store, 5)

    assert kind == StoreFull.__name__
    assert known(store, ids) == len(ids)


def test_waiting_for_a_lock_ends_with_the_name_of_who_holds_it(path: Path, open_store: Open) -> None:
    store = open_store(busy_timeout_s="0.05")
    submit(store)
    ready, begin = os.pipe()
    done, finish = os.pipe()

    def hold() -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        os.write(begin, b".")
        os.read(done, 1)
        other.execute("COMMIT")
        other.close()

    holder = Child(hold)
    os.read(ready, 1)
    with pytest.raises(StoreTimeout) as caught:
        submit(store)
    os.write(finish, b".")
    holder.result()

    assert "locked" in str(caught.value)
    if os.path.exists("/proc/locks"):
        assert str(holder.pid) in str(caught.value)
    assert len(submit(store)) == 1
    for descriptor in (ready, begin, done, finish):
        os.close(descriptor)


def test_reading_does_not_wait_for_a_writer(path: Path, open_store: Open) -> None:
    store = open_store(busy_timeout_s="0")
    ids = submit(store)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        statuses = run(store.state_backend.statuses(ids))

    assert statuses != [None]


@pytest.mark.parametrize(
    "content", [b"not a database " * 1000, b"SQLite format 3\x00" + b"\xff" * 4096], ids=["text", "header"]
)
def test_a_file_of_something_else_is_no_store(path: Path, store: SqliteBackend, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(StoreCorrupted) as caught:
        submit(store)

    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_no_store_and_stays_as_it_is(path: Path, store: SqliteBackend) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
    before = path.read_bytes()

    with pytest.raises(StoreCorrupted) as caught:
        submit(store)

    assert "is not a Pynenc store" in str(caught.value)
    assert path.read_bytes() == before


def test_a_truncated_file_is_corrupted(path: Path, store: SqliteBackend, open_store: Open) -> None:
    submit(store, 200)
    store.close()
    os.truncate(path, 50)

    with pytest.raises(StoreCorrupted):
        submit(open_store())


def test_overwritten_pages_are_corrupted(path: Path, store: SqliteBackend, open_store: Open) -> None:
    ids = submit(store, 2_000)
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8_192)
        file.write(b"\xa5" * (size - 8_192))

    with pytest.raises(StoreCorrupted) as caught:
        run(open_store().state_backend.snapshots(ids))

    assert "backup" in str(caught.value)


def test_a_file_that_was_deleted_is_noticed_before_anything_is_written_into_the_void(
    path: Path, store: SqliteBackend
) -> None:
    submit(store)
    path.unlink()

    with pytest.raises(StoreUnavailable) as caught:
        submit(store)
    with pytest.raises(StoreUnavailable):
        run(store.orchestrator.queue_stats())

    assert "deleted" in str(caught.value)
    assert not path.exists()


def test_a_file_that_was_replaced_is_noticed(path: Path, store: SqliteBackend) -> None:
    submit(store)
    path.rename(path.with_suffix(".old"))
    path.write_bytes(b"")

    with pytest.raises(StoreUnavailable) as caught:
        submit(store)

    assert "replaced" in str(caught.value)


def test_a_store_that_was_deleted_begins_anew_once_it_is_closed(path: Path, store: SqliteBackend) -> None:
    submit(store)
    for each in path.parent.glob("store.db*"):
        if each.is_file():
            each.unlink()

    store.close()

    assert known(store, submit(store)) == 1


def test_a_path_through_a_file_is_unavailable(tmp_path: Path, open_store: Open) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable) as caught:
        submit(open_store(tmp_path / "file" / "store.db"))

    assert "file" in str(caught.value)


def test_a_folder_in_place_of_the_file_is_unavailable(path: Path, store: SqliteBackend) -> None:
    path.mkdir()

    with pytest.raises(StoreUnavailable):
        submit(store)


def test_an_error_in_the_middle_of_a_unit_undoes_all_of_it(store: SqliteBackend) -> None:
    before = submit(store, 3)
    good = items(2)
    broken = msgspec.structs.replace(items(1)[0], arguments=None)

    with pytest.raises(StoreError):
        run(store.orchestrator.submit([*good, broken]))

    assert run(store.state_backend.count()) == len(before)
