"""The stores that are compared with the memory store; a further one is one entry more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
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
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    name: str = request.param
    with ExitStack() as opened:

        def fresh(clock: TraceClock) -> Backend:
            opened.close()
            return opened.enter_context(stores.fresh_store(name, tmp_path, clock))

        yield fresh
