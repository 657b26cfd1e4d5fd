"""Bells that the server rings: one connection of a process blocks on one key, for all of its bells.

An address is `<process>/<number>`: scripts push the number to the list `bell:<process>`. What is pushed while nobody
listens waits there; a ring that got lost costs latency only, so after a reconnection every bell is rung.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from typing import Any

from redis import exceptions

from pynenc.backends.redis import clients
from pynenc.backends.redis.location import Location
from pynenc.ports.doorbell import Doorbell

BLOCK_S = 20
SILENT_S = BLOCK_S + 10
"""Without any answer for so long a connection counts as broken."""
_LONGEST_PAUSE_S = 1.0


class LocalBell(Doorbell):
    """A socket pair: rung with one byte."""

    def __init__(self, bells: Bells, process: str, number: int) -> None:
        self._bells = bells
        self._number = number
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._closed = False
        self.address = f"{process}/{number}"

    def fileno(self) -> int:
        return self._receiver.fileno()

    def clear(self) -> None:
        try:
            while self._receiver.recv(4096):
                pass
        except (BlockingIOError, OSError):
            pass

    def ring(self) -> None:
        try:
            self._sender.send(b".")
        except (BlockingIOError, OSError):
            # Full means rung already; closed means nobody listens.
            pass

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._bells.forget(self._number)
            self._receiver.close()
            self._sender.close()


class Bells:
    """The bells of one process at one server, and the thread that rings them."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._lock = threading.Lock()
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._process = f"{self._pid}-{os.urandom(6).hex()}"
        self._last = 0
        self._local: weakref.WeakValueDictionary[int, LocalBell] = weakref.WeakValueDictionary()
        self._listener: Listener | None = None

    def doorbell(self) -> Doorbell:
        """Return a new bell."""
        with self._lock:
            if self._pid != os.getpid():
                self._renew()
            self._last += 1
            bell = LocalBell(self, self._process, self._last)
            self._local[self._last] = bell
            if self._listener is None:
                self._listener = Listener(self._location, self._process, self._local)
                self._listener.start()
        return bell

    def forget(self, number: int) -> None:
        """Take a bell away; without any left the thread ends."""
        with self._lock:
            self._local.pop(number, None)
            if not self._local and self._listener is not None and self._pid == os.getpid():
                self._listener.stop()
                self._listener = None

    def close(self) -> None:
        """End the thread; bells stay silent from now on."""
        with self._lock:
            if self._listener is not None and self._pid == os.getpid():
                self._listener.stop()
            self._listener = None


class Listener(threading.Thread):
    """Blocks on the list of its process and rings what arrives there."""

    def __init__(self, location: Location, process: str, local: weakref.WeakValueDictionary[int, LocalBell]) -> None:
        super().__init__(name="pynenc-redis-bells", daemon=True)
        self._location = location
        self._key = location.prefix + b"bell:" + process.encode()
        self._local = local
        self._over = False
        self._connection: Any = None

    def stop(self) -> None:
        """End soon, without waiting for it."""
        self._over = True
        connection = self._connection
        peer: socket.socket | None = getattr(connection, "_sock", None)
        if peer is not None:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self) -> None:
        pause_s = 0.05
        while not self._over:
            try:
                self._listen()
                pause_s = 0.05
            except (exceptions.RedisError, OSError, EOFError):
                if not self._over:
                    time.sleep(pause_s)
                    pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _listen(self) -> None:
        """Serve one connection until it breaks."""
        connection = self._connection = self._open()
        try:
            connection.connect()
            # What was rung while nobody listened may be lost.
            self._ring_all()
            while not self._over:
                connection.send_command("BLPOP", self._key, BLOCK_S)
                popped = connection.read_response(disable_decoding=True, timeout=SILENT_S)
                if popped is not None:
                    self._ring(popped[1])
                    connection.send_command("LPOP", self._key, 100)
                    for number in connection.read_response(disable_decoding=True) or ():
                        self._ring(number)
        finally:
            self._connection = None
            connection.disconnect()

    def _open(self) -> Any:
        if self._location.kind != "cluster":
            return clients.pool_of(self._location).make_connection()
        cluster = clients.cluster_of(self._location)
        try:
            node = cluster.get_node_from_key(self._key)
            place = (node.host, node.port)
        finally:
            cluster.close()
        from msgspec.structs import replace

        return clients.pool_of(replace(self._location, kind="single", hosts=(place,))).make_connection()

    def _ring(self, number: bytes) -> None:
        bell = self._local.get(int(number))
        if bell is not None:
            bell.ring()

    def _ring_all(self) -> None:
        for bell in list(self._local.values()):
            bell.ring()
