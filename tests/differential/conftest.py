"""The stores that are compared with the memory store; a further one is one entry more."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.backends.sqlite import open_backend
from pynenc.ports.backend import Backend
from pynenc.testing.differential import OpenStore, TraceClock


def _sqlite(directory: Path) -> OpenStore:
    numbers = count()

    def opened(clock: TraceClock) -> Backend:
        url = f"sqlite:///{directory}/{next(numbers)}.db"
        return open_backend(url, clock=clock, options={"durability": "none"})

    return opened


_STORES: dict[str, Callable[[Path], OpenStore]] = {"sqlite": _sqlite}


@pytest.fixture
def reference() -> OpenStore:
    return lambda clock: MemoryBackend(clock=clock)


@pytest.fixture(params=sorted(_STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    name: str = request.param
    return _STORES[name](tmp_path)
