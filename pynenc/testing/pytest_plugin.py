"""The pytest plug-in: fixtures for tests of tasks. Nothing is imported before a fixture is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.testing.clock import FakeClock
    from pynenc.testing.engine import Engine


@pytest.fixture
def pynenc_attach() -> Iterator[Callable[[Pynenc], Engine]]:
    """Put an app of yours on a memory store with a fake clock until the test ends: `pynenc_attach(app)`."""
    from pynenc.testing.engine import engine_for

    with ExitStack() as stack:
        yield lambda app: stack.enter_context(engine_for(app))


@pytest.fixture
def pynenc_app() -> Pynenc:
    """A fresh app for tasks that are defined in the test."""
    from pynenc.app import Pynenc

    return Pynenc("memory://", app_id="test")


@pytest.fixture
def pynenc_engine(pynenc_app: Pynenc, pynenc_attach: Callable[[Pynenc], Engine]) -> Engine:
    """The engine under `pynenc_app`: `run_all()`, `advance(...)`, `assert_enqueued(...)`, `crash()`, …"""
    return pynenc_attach(pynenc_app)


@pytest.fixture
def pynenc_clock(pynenc_engine: Engine) -> FakeClock:
    """The clock of `pynenc_engine`."""
    return pynenc_engine.clock
