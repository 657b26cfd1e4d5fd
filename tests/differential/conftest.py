"""The stores that are compared with the memory store; a further one is one entry more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.ports.backend import Backend
from pynenc.testing.differential import OpenStore, TraceClock
from tests import stores


@pytest.fixture
def reference() -> OpenStore:
    return lambda clock: MemoryBackend(clock=clock)


@pytest.fixture(params=("sqlite", *stores.SERVERS))
def store_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def store(store_name: str, tmp_path: Path) -> Iterator[OpenStore]:
    with _opener(store_name, tmp_path) as fresh:
        yield fresh


@pytest.fixture
def embedded_store(tmp_path: Path) -> Iterator[OpenStore]:
    with _opener("sqlite", tmp_path) as fresh:
        yield fresh


@contextmanager
def _opener(name: str, folder: Path) -> Iterator[OpenStore]:
    """Return what opens an empty store, and takes away the one before."""
    with ExitStack() as opened:

        def fresh(clock: TraceClock) -> Backend:
            opened.close()
            return opened.enter_context(stores.fresh_store(name, folder, clock))

        yield fresh
