"""Every contract over every store, each test blocking and on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.backends.sqlite import open_backend
from pynenc.io import Op, arun, run
from pynenc.ports.backend import Backend
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import Perform

T = TypeVar("T")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend(clock=clock)
        return
    sqlite = open_backend(f"sqlite:///{tmp_path / 'contract.db'}", clock=clock, options={})
    yield sqlite
    sqlite.close()


@pytest.fixture(params=["blocking", "asyncio"])
def perform(request: pytest.FixtureRequest) -> Iterator[Perform]:
    if request.param == "blocking":
        yield run
        return
    with asyncio.Runner() as runner:

        def perform_on_loop(op: Op[T]) -> T:
            return runner.run(arun(op))

        yield perform_on_loop
