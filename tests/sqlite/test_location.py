"""What URLs mean, and what is made on disk."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from pynenc.backends.sqlite import open_backend
from pynenc.composition import open_backend as open_by_scheme
from pynenc.errors import ConfigurationError
from pynenc.io import run
from tests.sqlite.conftest import Open
from tests.sqlite.words import submit


def test_three_slashes_name_a_path_below_the_folder_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    backend = open_backend("sqlite:///below/it.db", options={})

    assert backend.path == str(tmp_path / "below/it.db")


def test_four_slashes_name_an_absolute_path() -> None:
    assert open_backend("sqlite:////var/lib/it%20is.db", options={}).path == "/var/lib/it is.db"


def test_a_store_stays_where_it_was_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = open_backend("sqlite:///it.db", options={})
    monkeypatch.chdir("/")

    submit(backend)

    assert (tmp_path / "it.db").exists()
    backend.close()


def test_nothing_is_created_before_the_first_operation(store_path: Path, open_store: Open) -> None:
    open_store(store_path)

    assert not store_path.exists()


def test_the_file_and_its_folders_are_for_their_owner_only(store_path: Path, open_store: Open) -> None:
    submit(open_store(store_path))

    assert stat.S_IMODE(os.stat(store_path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(f"{store_path}-wal").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(store_path.parent).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(store_path.parent.parent).st_mode) == 0o700


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folders" / "store.db"


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("sqlite://host/store.db", "host"),
        ("sqlite://", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///:memory:", "memory://"),
    ],
)
def test_other_urls_are_refused_with_what_to_write_instead(url: str, names: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_backend(url, options={})

    assert names in str(caught.value)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"pool": "5"}, "pool"),
        ({"durability": "much"}, "none, normal, full"),
        ({"busy_timeout_s": "soon"}, "busy_timeout_s"),
        ({"busy_timeout_s": "-1"}, "busy_timeout_s"),
    ],
)
def test_unknown_or_ill_typed_options_are_refused_by_name(options: dict[str, str], names: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_backend("sqlite:///store.db", options=options)

    assert names in str(caught.value)


@pytest.mark.parametrize(("durability", "promise"), [("none", "none"), ("normal", "process"), ("full", "power")])
def test_durability_is_declared(path: Path, durability: str, promise: str) -> None:
    backend = open_by_scheme(f"sqlite:///{path}?durability={durability}")

    assert backend.capabilities.durability == promise
    backend.close()


def test_a_store_that_was_closed_opens_again(open_store: Open) -> None:
    store = open_store()
    ids = submit(store, 3)

    store.close()

    assert None not in run(store.state_backend.snapshots(ids))


def test_an_old_sqlite_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(ConfigurationError) as caught:
        open_backend("sqlite:///store.db", options={})

    assert "3.35" in str(caught.value)
