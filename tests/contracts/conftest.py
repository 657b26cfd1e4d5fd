"""Every contract over every store, each test blocking and on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pynenc.io import Op, arun, run
from pynenc.ports.backend import Backend
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import Perform
from tests import stores

T = TypeVar("T")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=stores.ALL)
def backend(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Backend]:
    with stores.fresh_store(request.param, tmp_path, clock) as store:
        yield store


@pytest.fixture(params=["blocking", "asyncio"])
def perform(request: pytest.FixtureRequest) -> Iterator[Perform]:
    if request.param == "blocking":
        yield run
        return
    with asyncio.Runner() as runner:

        def perform_on_loop(op: Op[T]) -> T:
            return runner.run(arun(op))

        yield perform_on_loop
