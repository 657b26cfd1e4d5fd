"""How a runner tells that it is well: endpoints, a file, systemd; and that it tells when it is not."""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from pynenc.backends.memory import MemoryBackend
from pynenc.errors import ConfigurationError, StoreUnavailable
from pynenc.io import Op
from pynenc.model.records import Exchange, ExchangeReply
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.health_server import HealthServer, Page, Render
from pynenc.runners.notify import Notifier
from pynenc.runners.pulse import Health, Pulse
from pynenc.runners.telling import Teller
from pynenc.testing.clock import FakeClock
from tests.deploys import deploy_app
from tests.deploys.conftest import Deployment, wait_until
from tests.deploys.kinds import ONE_SLOT
from tests.servers import RedisServer

# --- the judgement --------------------------------------------------------------------------------------


class Patient:
    """A pulse, and a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.pulse = Pulse(lambda: self.clock() / 1e6)

    def health(self, *, workers_up: bool = True) -> Health:
        return self.pulse.health(within_s=60.0, workers_up=workers_up)


def test_a_runner_is_ready_once_it_has_a_session_and_a_worker() -> None:
    patient = Patient()

    without_session = patient.health()
    patient.pulse.in_session = True
    without_worker = patient.health(workers_up=False)

    assert without_session == Health(True, False, "no session yet")
    assert without_worker == Health(True, False, "no worker is up")
    assert patient.health() == Health(True, True)


def test_a_draining_runner_is_alive_and_not_ready() -> None:
    patient = Patient()
    patient.pulse.in_session = patient.pulse.draining = True

    assert patient.health() == Health(True, False, "draining")


def test_a_loop_that_does_not_turn_is_dead_whatever_it_did_before() -> None:
    patient = Patient()
    patient.pulse.in_session = True
    patient.pulse.refused(StoreUnavailable("away"))

    patient.clock.advance(61.0)

    assert patient.health() == Health(False, False, "the control loop has not turned for 61 s")


def test_a_loop_that_turns_without_an_exchange_is_dead_unless_it_deals_with_an_outage() -> None:
    patient = Patient()
    patient.pulse.in_session = True

    patient.clock.advance(61.0)
    patient.pulse.turned()
    silent = patient.health()
    patient.pulse.refused(StoreUnavailable("redis://user:secret@host"))
    in_trouble = patient.health()
    patient.pulse.answered()

    assert silent == Health(False, False, "no exchange with the store for 61 s")
    assert in_trouble == Health(True, False, "no answer of the store for 0 s (StoreUnavailable); tries again")
    assert patient.health() == Health(True, True)


class HangingOrchestrator:
    """A store whose exchanges hang once the test says so."""

    def __init__(self, inner: Orchestrator) -> None:
        self._inner = inner
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        if self.hangs.is_set():
            self.goes_on.wait(60)
        return (yield from self._inner.exchange(request))

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def test_a_loop_that_is_stuck_in_a_call_is_noticed_from_outside() -> None:
    app = Pynenc("memory://", app_id="stuck")
    app.conf.health_within_seconds = 1.0
    app.conf.lease_seconds = 1.0
    app.use_backend(MemoryBackend())
    store = HangingOrchestrator(app.backend.orchestrator)
    app.use_orchestrator(store)  # type: ignore[arg-type]  # as much of one as the loop needs

    with app.running():
        wait_until(lambda: app.runner.health().ready, "the runner is ready")
        store.hangs.set()
        wait_until(lambda: not app.runner.health().alive, "the loop counts as stuck")
        stuck = app.runner.health()
        store.goes_on.set()
        wait_until(lambda: app.runner.health().ready, "the runner is well again")

    assert re.match("the control loop has not turned|no exchange with the store", stuck.reason)
    assert app.runner.health() == Health(False, False, "not running")


# --- endpoints ------------------------------------------------------------------------------------------


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def port_of(deployment: Deployment) -> int:
    """Return where a runner with `--health-port 0` listens, by what it logged."""
    wait_until(lambda: "health endpoints at" in deployment.log(), "the endpoints")
    found = re.findall(r"health endpoints at http://127\.0\.0\.1:(\d+)", deployment.log())
    return int(found[-1])


@pytest.fixture
def pages() -> dict[str, Render]:
    return {}


@pytest.fixture
def server(pages: dict[str, Render]) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, pages)
    yield server
    server.close()


def test_pages_that_others_add_are_served_beside_it(server: HealthServer, pages: dict[str, Render]) -> None:
    before = get(server.port, "/metrics")
    pages["/metrics"] = lambda: Page(b"pynenc_running 1\n")

    assert before[0] == 404
    assert get(server.port, "/metrics?x=1") == (200, "pynenc_running 1\n")
    assert get(server.port, "/metrics", "HEAD") == (200, "")
    assert get(server.port, "/metrics", "POST")[0] == 501


def test_a_page_that_fails_says_so_without_its_secrets(server: HealthServer, pages: dict[str, Render]) -> None:
    def fail() -> Page:
        raise ValueError("redis://user:secret@host")

    pages["/metrics"] = fail

    assert get(server.port, "/metrics") == (500, "this page failed; see the log\n")


def test_a_silent_connection_does_not_keep_others_out(server: HealthServer, pages: dict[str, Render]) -> None:
    pages["/livez"] = lambda: Page(b"ok\n")

    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server.port, "/livez") == (200, "ok\n")


def test_a_server_without_descriptors_waits_instead_of_asking_all_the_time(
    server: HealthServer, pages: dict[str, Render], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages["/livez"] = lambda: Page(b"ok\n")
    accept, refusals, went_on = socket.socket.accept, [], threading.Event()

    def refuse(_: socket.socket) -> tuple[socket.socket, object]:
        refusals.append(1)
        if len(refusals) > 1:
            went_on.set()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "accept", refuse)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        assert went_on.wait(60)
        seen = len(refusals)
        monkeypatch.setattr(socket.socket, "accept", accept)
        client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        answer = client.makefile("rb").read()

    assert seen == 2
    assert answer.endswith(b"ok\n")


def test_a_port_that_is_taken_is_a_clear_error(server: HealthServer) -> None:
    with pytest.raises(ConfigurationError, match=f"health_port={server.port}: cannot listen there"):
        HealthServer("127.0.0.1", server.port, {})


@pytest.mark.parametrize("kind", ONE_SLOT)
def test_a_runner_is_ready_until_it_drains_and_alive_until_it_ends(
    deployment: Deployment, kind: str, tmp_path: Path
) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    runner = deployment.start(*ONE_SLOT[kind], "--health-port", "0")
    port = port_of(deployment)

    wait_until(lambda: get(port, "/readyz")[0] == 200, "the runner is ready")
    serving = get(port, "/livez"), get(port, "/readyz")
    added = get(port, "/waiting")
    invocation = deploy_app.hold(str(begun), str(until))
    wait_until(begun.exists, "the body begins")
    runner.send(signal.SIGTERM)
    wait_until(lambda: get(port, "/readyz")[0] == 503, "the runner is no longer ready")
    draining = get(port, "/livez"), get(port, "/readyz")
    until.touch()
    code = runner.wait()

    assert serving == ((200, "ok\n"), (200, "ok\n"))
    assert added == (200, "0")
    assert draining == ((200, "ok: draining\n"), (503, "not ok: draining\n"))
    assert (code, invocation.result) == (0, 1)


@pytest.mark.faults
def test_a_runner_whose_store_is_gone_is_alive_not_ready_and_still_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body ends during the outage: the drain keeps its result for the grace period, and ends all the same."""
    with RedisServer(tmp_path / "server") as server:
        url = f"{server.url}?call_timeout_s=1&connect_timeout_s=1"
        deployment = Deployment.at(url, "outage", tmp_path, monkeypatch)
        deployment.environment["PYNENC__LEASE_SECONDS"] = "2"
        begun, until = tmp_path / "begun", tmp_path / "until"
        runner = deployment.start(*ONE_SLOT["thread"], "--health-port", "0", "--drain-timeout", "1")
        port = port_of(deployment)
        invocation = deploy_app.hold(str(begun), str(until))
        wait_until(begun.exists, "the body begins")

        server.pause()
        wait_until(lambda: "no answer of the store" in get(port, "/livez")[1], "the outage is noticed")
        alive, ready = get(port, "/livez"), get(port, "/readyz")
        until.touch()
        code = runner.stop()
        server.resume()
        deployment.start(*ONE_SLOT["thread"])
        value = invocation.get(timeout=60)
        deployment.close()

    assert (alive[0], ready[0]) == (200, 503)
    assert server.url not in alive[1]
    assert (code, value) == (0, 1)


def test_a_runner_whose_store_was_never_there_is_alive_and_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "redis://127.0.0.1:1/0?connect_timeout_s=1"
    deployment = Deployment.at(nowhere, "nowhere", tmp_path, monkeypatch)
    runner = deployment.start_without_waiting(*ONE_SLOT["process"], "--health-port", "0")
    wait_until(lambda: "cannot reach its store" in deployment.log(), "the outage is noticed")
    port = port_of(deployment)

    alive, ready = get(port, "/livez"), get(port, "/readyz")
    code = runner.stop()

    assert (alive[0], ready[0]) == (200, 503)
    assert code == 0


# --- a file ---------------------------------------------------------------------------------------------


def alive(file: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pynenc", "runner", "alive", str(file), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def make_old(file: Path) -> None:
    os.utime(file, (1_000_000_000, 1_000_000_000))


def test_the_file_of_a_runner_is_young_while_it_lives_old_while_it_is_stopped_and_gone_with_it(
    deployment: Deployment, tmp_path: Path
) -> None:
    file = tmp_path / "alive"
    runner = deployment.start(*ONE_SLOT["thread"], "--alive-file", str(file))

    make_old(file)
    wait_until(lambda: file.stat().st_mtime > 1_000_000_000, "the file is touched")
    well = alive(file)
    runner.send(signal.SIGSTOP)
    make_old(file)
    stopped = alive(file, "--within", "30")
    runner.send(signal.SIGCONT)
    wait_until(lambda: file.stat().st_mtime > 1_000_000_000, "the file is touched again")
    code = runner.stop()

    assert well[0] == 0
    assert stopped[0] == 1
    assert "more than 30 s ago" in stopped[1]
    assert code == 0
    assert not file.exists()
    assert alive(file) == (1, f"{file} does not exist: no runner that touches it is alive\n")


def test_the_answer_of_the_probe_can_be_read_by_programs(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    file.touch()

    code, said = alive(file, "--json")

    assert code == 0
    assert json.loads(said)["alive"] is True


def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    teller = Teller(lambda: Health(True, True), Notifier({}), tmp_path / "nowhere" / "alive")

    with pytest.raises(ConfigurationError, match=r"alive_file=.*cannot be written"):
        teller.start()


# --- systemd --------------------------------------------------------------------------------------------


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield listener


def told(listener: socket.socket, wanted: str) -> list[str]:
    """Return everything that is told up to and with what contains `wanted`."""
    found: list[str] = []
    while not found or wanted not in found[-1]:
        found.append(listener.recv(4096).decode())
    return found


def test_systemd_hears_when_a_runner_is_ready_alive_and_stopping(
    deployment: Deployment, systemd: socket.socket, tmp_path: Path
) -> None:
    deployment.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}

    runner = deployment.start(*ONE_SLOT["process"])
    until_ready = told(systemd, "READY=1")
    told(systemd, "WATCHDOG=1")
    code = runner.stop()
    told(systemd, "STOPPING=1")

    assert code == 0
    assert not any("STOPPING" in each for each in until_ready)


def test_nothing_tells_that_a_stuck_runner_is_alive(systemd: socket.socket, tmp_path: Path) -> None:
    file = tmp_path / "alive"
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"})
    teller = Teller(lambda: Health(False, False, "stuck"), notifier, file)

    teller.tell(Health(False, False, "stuck"))
    notifier.stopping()

    assert told(systemd, "STOPPING") == ["STOPPING=1\nSTATUS=draining"]
    assert not file.exists()


def test_an_abstract_address_is_understood(tmp_path: Path) -> None:
    name = f"pynenc-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(60)

        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()

        assert listener.recv(100).startswith(b"READY=1")


def test_a_watchdog_of_another_process_is_not_ours(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "x"), "WATCHDOG_USEC": "3000000"}

    assert Notifier(environment).watchdog_s == 3.0
    assert Notifier({**environment, "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Notifier({"WATCHDOG_USEC": "3000000"}).watchdog_s is None
