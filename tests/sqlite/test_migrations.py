"""Bringing files to the schema of this release."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from pynenc.backends.sqlite import SqliteBackend, migrating, open_backend
from pynenc.backends.sqlite.migrating import Migration
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


def test_a_file_that_a_newer_release_has_cleaned_up_is_left_alone(
    path: Path, store: SqliteBackend, open_store: Open
) -> None:
    submit(store)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO meta VALUES ('post migration 999', 999)")

    with pytest.raises(SchemaTooNew) as caught:
        submit(open_store())

    assert "999" in str(caught.value)
    assert "Upgrade Pynenc" in str(caught.value)


def test_what_a_newer_release_only_added_does_no_harm(path: Path, store: SqliteBackend, open_store: Open) -> None:
    ids = submit(store)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE call ADD COLUMN note TEXT")
        connection.execute("PRAGMA user_version = 999")

    newer = open_store()

    assert known(newer, [*ids, *submit(newer)]) == 2
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (999,)


def test_migrate_says_what_it_did_and_takes_away_only_when_told(
    store: SqliteBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initial = migrating.migrations()
    assert run(store.migrate()) == [each.name for each in initial if not each.is_post]
    store.close()
    added = Migration(8, False, "008_pre_add.sql", "CREATE TABLE later (x);\n")
    taken = Migration(9, True, "009_post_drop.sql", "DROP TABLE later;\n")
    monkeypatch.setattr(migrating, "migrations", lambda: (*initial, added, taken))

    done = [run(store.migrate()), run(store.migrate()), run(store.migrate(post=True)), run(store.migrate(post=True))]

    assert done == [["008_pre_add.sql"], [], ["009_post_drop.sql"], []]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'later'").fetchall() == []


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
    initial, version = migrating.migrations(), migrating.latest_version() + 1
    # A semicolon within a statement must not split it.
    script = "CREATE TABLE later (x TEXT DEFAULT ';\n');\nINSERT INTO later (x) VALUES ('once');\n"
    monkeypatch.setattr(migrating, "migrations", lambda: (*initial, Migration(version, False, "later.sql", script)))

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
    initial = migrating.migrations()
    broken = "CREATE TABLE later (x);\nINSERT INTO missing VALUES (1);\n"
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "migrations", lambda: (*initial, Migration(99, False, "later.sql", broken)))
        with pytest.raises(Exception, match="missing"):
            submit(open_store())

    assert known(open_store(), ids) == 3
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'later'").fetchall() == []


def test_migrations_are_numbered_without_gaps() -> None:
    versions = [each.number for each in migrating.migrations()]

    assert versions == list(range(1, len(versions) + 1))
