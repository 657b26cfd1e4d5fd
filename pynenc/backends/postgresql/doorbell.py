"""Bells that the server rings: one connection of a process listens on one channel, for all of its bells.

An address is `<channel>/<number>`: functions NOTIFY the channel with the number. A notification that got lost costs
latency only, so after a reconnection every bell is rung. A crash of the server, which may take what was committed
without waiting for the disk, breaks the connection too: the bells say so. Behind pgbouncer in transaction mode nothing
can listen: there a thread rings the bells by the clock, and an address has no channel.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref

import psycopg

from pynenc.backends.postgresql.connecting import BoundedConnection, Pools
from pynenc.backends.postgresql.location import Location
from pynenc.polling import readable
from pynenc.ports.doorbell import Doorbell

_LONGEST_PAUSE_S = 1.0
POLL_S = 0.25
ALIVE_S = 20.0
"""How often a listener asks whether its connection lives."""


class LocalBell(Doorbell):
    """A socket pair: rung with one byte."""

    def __init__(self, bells: Bells, channel: str, number: int) -> None:
        self._bells = bells
        self._number = number
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._closed = False
        self._was_cut = False
        self.address = f"{channel}/{number}" if channel else str(number)

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

    def was_cut(self) -> bool:
        was_cut, self._was_cut = self._was_cut, False
        return was_cut

    def note_cut(self) -> None:
        """Have whoever hears the next ring learn that the line was broken."""
        self._was_cut = True

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
        self._channel = f"pynenc_{self._pid}_{os.urandom(6).hex()}"
        self._last = 0
        self._local: weakref.WeakValueDictionary[int, LocalBell] = weakref.WeakValueDictionary()
        self._listener: Listener | None = None

    def doorbell(self) -> Doorbell:
        """Return a new bell."""
        with self._lock:
            if self._pid != os.getpid():
                self._renew()
            self._last += 1
            bell = LocalBell(self, "" if self._location.pooled else self._channel, self._last)
            self._local[self._last] = bell
            if self._listener is None:
                self._listener = Listener(self._location, self._channel, self._local)
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
    """Listens on the channel of its process and rings what arrives there."""

    def __init__(self, location: Location, channel: str, local: weakref.WeakValueDictionary[int, LocalBell]) -> None:
        super().__init__(name="pynenc-postgresql-bells", daemon=True)
        self._location = location
        self._channel = channel
        self._local = local
        self._has_listened = False
        self._over, self._waker = socket.socketpair()

    def stop(self) -> None:
        """End soon, without waiting for it."""
        self._waker.close()

    def _is_over(self, timeout_s: float) -> bool:
        return bool(readable([self._over.fileno()], timeout_s))

    def run(self) -> None:
        pause_s = 0.05
        while not self._is_over(0.0):
            try:
                if self._location.pooled:
                    self._poll()
                else:
                    self._listen()
                return
            except (psycopg.Error, OSError):
                if self._is_over(pause_s):
                    return
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _poll(self) -> None:
        while not self._is_over(POLL_S):
            self._ring_all()

    def _listen(self) -> None:
        """Serve one connection until it breaks or the thread is to end."""
        connection = Pools(self._location).connect()
        try:
            connection.execute(f"LISTEN {self._channel}; LISTEN {self._location.schema}")
            # What was rung while nobody listened is lost.
            self._ring_all(after_cut=self._has_listened)
            self._has_listened = True
            asked_s = time.monotonic()
            while True:
                ready = readable([connection.fileno(), self._over.fileno()], ALIVE_S)
                if self._over.fileno() in ready:
                    return
                if not ready or time.monotonic() - asked_s > ALIVE_S:
                    asked_s = time.monotonic()
                    connection.execute("SELECT 1")
                self._ring_notified(connection)
        finally:
            connection.close()

    def _ring_notified(self, connection: BoundedConnection) -> None:
        for notification in connection.notifies(timeout=0):
            if notification.channel != self._channel:
                # Somebody submitted in a transaction of their own.
                self._ring_all()
            elif (bell := self._local.get(int(notification.payload))) is not None:
                bell.ring()

    def _ring_all(self, *, after_cut: bool = False) -> None:
        for bell in list(self._local.values()):
            if after_cut:
                bell.note_cut()
            bell.ring()
