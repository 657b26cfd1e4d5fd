"""Bringing files to the schema of this release."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from pynenc.backends.sqlite import SqliteBackend, migrating, open_backend
from pynenc.errors import SchemaTooNew
from pynenc.io import run
from tests.sqlite.conftest import Open
from tests.sqlite.processes import Child
from tests.sqlite.words import known, submit


def test_a_new_file_says_whose_it_is_and_of_which_version(path: Path, store: SqliteBackend) -> None:
    submit(store)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (migrating.APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (migrating.latest_version(),)


def test_a_file_of_a_newer_release_is_left_alone(path: Path, store: SqliteBackend, open_store: Open) -> None:
    submit(store)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")

    with pytest.raises(SchemaTooNew) as caught:
        submit(open_store())

    assert "999" in str(caught.value)
    assert "Upgrade Pynenc" in str(caught.value)


def test_processes_that_open_a_new_file_at_once_all_find_a_whole_schema(path: Path) -> None:
    def open_and_submit() -> int:
        return len(submit(open_backend(f"sqlite:///{path}", options={}), 3))

    children = [Child(open_and_submit) for _ in range(6)]

    assert [child.result() for child in children] == [3] * 6
    store = open_backend(f"sqlite:///{path}", options={})
    assert run(store.state_backend.count()) == 18
    assert run(store.orchestrator.verify()) == []
    store.close()


def test_a_later_migration_is_applied_once_and_keeps_what_is_there(
    store: SqliteBackend, open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = submit(store, 3)
    store.close()
    version = migrating.latest_version() + 1
    # A semicolon within a statement must not split it.
    script = "CREATE TABLE later (x TEXT DEFAULT ';\n');\nINSERT INTO later (x) VALUES ('once');\n"
    monkeypatch.setattr(migrating, "migrations", lambda: ((1, ""), (version, script)))

    assert known(open_store(), ids) == 3
    assert known(open_store(), ids) == 3

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT x FROM later").fetchall() == [("once",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    store: SqliteBackend, open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = submit(store, 3)
    store.close()
    broken = "CREATE TABLE later (x);\nINSERT INTO missing VALUES (1);\n"
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "migrations", lambda: ((1, ""), (2, broken)))
        with pytest.raises(Exception, match="missing"):
            submit(open_store())

    assert known(open_store(), ids) == 3
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'later'").fetchall() == []


def test_migrations_are_numbered_without_gaps() -> None:
    versions = [version for version, _ in migrating.migrations()]

    assert versions == list(range(1, len(versions) + 1))
