"""Stores in files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynenc.backends.sqlite import SqliteBackend, open_backend

Open = Callable[..., SqliteBackend]


@pytest.fixture
def path() -> Iterator[Path]:
    """A file whose path is short: that of a socket beside it is limited, and `tmp_path` may be long."""
    with tempfile.TemporaryDirectory(prefix="pynenc-") as folder:
        yield Path(folder) / "store.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Open]:
    """Opens the file of this test, as another process would; options as in the URL."""
    opened: list[SqliteBackend] = []

    def open_one(at: Path = path, **options: str) -> SqliteBackend:
        opened.append(open_backend(f"sqlite:///{at}", options=options))
        return opened[-1]

    yield open_one
    for backend in opened:
        backend.close()


@pytest.fixture
def store(open_store: Open) -> SqliteBackend:
    return open_store()
