"""One server process, or a group of them, that a test starts, stops, kills and pauses."""

from __future__ import annotations

import atexit
import os
import pwd
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, TypeVar

import pytest

from tests.faults.processes import children_of, is_alive

_SERVER = TypeVar("_SERVER", bound="Server")

SETTINGS = Path(__file__).resolve().parents[2] / "scripts" / "services.d"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


class ServerFailed(Exception):
    """A server ended or did not answer in time; the message holds the last lines of its log."""


class Server(ABC):
    """What a test may do to a server. As a context manager it starts, and stops at the end."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address for Pynenc, the same after a restart."""

    @abstractmethod
    def start(self) -> None:
        """Start it on the data it left, and wait until it answers. Raises ServerFailed."""

    @abstractmethod
    def stop(self) -> None:
        """End it in good order. Does nothing when it does not run."""

    @abstractmethod
    def kill(self) -> None:
        """End it with all its processes by SIGKILL. Does nothing when it does not run."""

    @abstractmethod
    def pause(self) -> None:
        """Halt all its processes with SIGSTOP: connections stay open and nothing answers."""

    @abstractmethod
    def resume(self) -> None:
        """End a pause."""

    def restart(self) -> None:
        """Stop it if it runs, and start it with the same address and data."""
        self.stop()
        self.start()

    def __enter__(self: _SERVER) -> _SERVER:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class ServerProcess(Server):
    """A server of one process and its children, with a folder and a port of 127.0.0.1 that it keeps.

    What still runs when Python exits is killed then.
    """

    _stop_signal = signal.SIGTERM
    _account: str | None = None  # what it runs as; None: like the tests

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Prepare a server; nothing runs yet.

        Args:
            folder: for its data and log; made if it is missing.
            port: 0 for a free one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it does what it is there for."""

    @property
    def pid(self) -> int:
        """Process id of the server that was started last."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process exists; also while it is paused."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running, "already started"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it
                user=self._account,
                group=None if self._account is None else pwd.getpwnam(self._account).pw_gid,
                extra_groups=None if self._account is None else [],
            )
        atexit.register(self.kill)
        self._wait_until_it_answers()

    def stop(self) -> None:
        if self.is_running:
            self.resume()
            self._send(self._stop_signal)
            self._wait_for_its_end()

    def kill(self) -> None:
        if self.is_running:
            # A parent that is halted starts no child between listing and killing them.
            self._send(signal.SIGSTOP)
            children = children_of(self.pid)
            for child in children:
                _send(child, signal.SIGKILL)
            self._send(signal.SIGKILL)
            self._wait_for_its_end()
            wait_until(lambda: not any(is_alive(child) for child in children))

    def pause(self) -> None:
        self._send(signal.SIGSTOP)
        for child in children_of(self.pid):
            _send(child, signal.SIGSTOP)

    def resume(self) -> None:
        for child in children_of(self.pid):
            _send(child, signal.SIGCONT)
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self.is_running:
            _send(self.pid, number)

    def _wait_until_it_answers(self) -> None:
        try:
            wait_until(lambda: not self.is_running or self._answers())
        except TimeoutError as error:
            self.kill()
            raise ServerFailed(self._last_words()) from error
        if not self.is_running:
            raise ServerFailed(self._last_words())

    def _wait_for_its_end(self) -> None:
        assert self._process is not None, "not started"
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        atexit.unregister(self.kill)

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"{type(self).__name__} on port {self.port} did not start:", *lines[-10:]])


class ServerGroup(Server):
    """Several servers that are one service; a test may also kill a single one of `servers`."""

    servers: Sequence[ServerProcess]

    def start(self) -> None:
        for server in self.servers:
            if not server.is_running:
                server.start()

    def stop(self) -> None:
        for server in reversed(self.servers):
            server.stop()

    def kill(self) -> None:
        for server in self.servers:
            server.kill()

    def pause(self) -> None:
        for server in self.servers:
            server.pause()

    def resume(self) -> None:
        for server in self.servers:
            server.resume()


def do_without(reason: str) -> NoReturn:
    """End the test for want of a server: it is skipped, or fails where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port that nothing uses.

    It and the one 10000 above, which a Redis Cluster node also takes, lie below those that systems give to outgoing
    connections: a server that was killed gets its port back.
    """
    while True:
        port = random.randrange(12_000, 22_000)
        if _is_free(port) and _is_free(port + 10_000):
            return port


def wait_until(condition: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
    """Ask until the answer is true. Raises TimeoutError."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"still not so after {timeout_s} s")
        time.sleep(0.02)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
