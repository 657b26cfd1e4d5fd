"""A runner whose store went away and came back consumes again: alive is who claims, not who has an open socket."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.io import run
from tests.faults import liveness_app
from tests.faults.processes import RunnerProcess
from tests.faults.proxy import Cut
from tests.faults.records import keep
from tests.faults.scenes import PooledScene, ProxiedScene
from tests.private_servers.process import Server
from tests.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]

WAIT_S = 60.0
STORES = ("Redis", "PostgreSQL", "PostgreSQL, pgbouncer")
_LEVEL = {"Redis": "normal"}


class Place:
    """A store behind a network, a runner that has worked there and now is idle, and a client beside the network."""

    def __init__(self, scene: ProxiedScene, folder: Path, runner: str) -> None:
        self.scene = scene
        environment = {"PYNENC_URL": scene.runner_url, "PYNENC__LEASE_SECONDS": "2"}
        options = ("--runner", runner, *(("--processes", "1") if runner == "process" else ()))
        self._runner = RunnerProcess(
            "tests.faults.liveness_app", *options, environment=environment, log=folder / "runner.log"
        )
        self._app = Pynenc(scene.url, app_id="liveness")
        self._task = self._app.task(liveness_app.double.func)
        self._next = 0
        self._is_closed = False

    def works(self) -> bool:
        """Whether a call is answered."""
        self._next += 1
        invocation = self._task(self._next)
        return invocation.wait(WAIT_S) and invocation.get() == 2 * self._next

    def close(self) -> list[str]:
        """End the runner, once; return what is wrong with it or the store."""
        if self._is_closed:
            return []
        self._is_closed = True
        code = self._runner.stop()
        findings = [str(each) for each in run(self._app.backend.orchestrator.verify())]
        self._app.close()
        return findings + ([] if code == 0 else [f"the runner ended with {code}"])


def _scene(store: str, folder: Path) -> ProxiedScene:
    rng = random.Random(1)
    if store == "PostgreSQL, pgbouncer":
        return PooledScene(folder, rng)
    is_redis = store == "Redis"
    server: Server = RedisServer(folder / "server") if is_redis else PostgresServer(folder / "server")
    return ProxiedScene(server, "normal" if is_redis else "full", rng, options="&call_timeout_s=3")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["process", "async"])
def place(request: pytest.FixtureRequest, store: str, tmp_path: Path) -> Iterator[Place]:
    with _scene(store, tmp_path) as scene:
        opened = Place(scene, tmp_path, request.param)
        try:
            yield opened
        finally:
            opened.close()


def _restart(scene: ProxiedScene) -> None:
    scene.server.kill()
    scene.server.restart()


def _stop_for_two_leases(scene: ProxiedScene) -> None:
    scene.server.pause()
    scene.wait(4.0)
    scene.server.resume()


def _silence_for_two_leases(scene: ProxiedScene) -> None:
    scene.proxy.hold()
    scene.wait(4.0)
    scene.proxy.heal()


WAYS: dict[str, Callable[[ProxiedScene], None]] = {
    "the server was killed and started again": _restart,
    "the server was stopped for two leases": _stop_for_two_leases,
    "the network was silent for two leases": _silence_for_two_leases,
    "every connection was reset": lambda scene: scene.proxy.break_all(),
    "every connection fell silent for good": lambda scene: scene.proxy.abandon_all(),
    "the next commit lost its reply": lambda scene: scene.proxy.cut_next_reply(Cut.BEFORE_REPLY),
    "the next reply broke off": lambda scene: scene.proxy.cut_next_reply(Cut.MID_REPLY),
}


def test_a_runner_consumes_again_whatever_happened_to_its_connections(
    place: Place, store: str, request: pytest.FixtureRequest
) -> None:
    assert place.works()

    for way, go_wrong in WAYS.items():
        go_wrong(place.scene)
        assert place.works(), way

    findings = place.close()
    runner = request.node.callspec.params["place"]
    keep("check", store, _LEVEL.get(store, "full"), f"consumes again, {runner}", times=len(WAYS), findings=findings)
    assert findings == []
