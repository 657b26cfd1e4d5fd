"""Bells between processes: one datagram to a socket that its owner sleeps on.

Addresses: `unix:/path/of/socket`, or `udp:127.0.0.1:port` where there are no Unix sockets.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path

from pynenc.backends.sqlite.connecting import create_folders
from pynenc.ports.doorbell import Doorbell

_LONGEST_PATH = 100
"""Of a Unix socket; systems allow 104 to 108 bytes with the closing zero."""
_RANDOM = 4
"""Random bytes in the name of a socket, beside the process id."""


def has_unix_sockets() -> bool:
    """Whether this system has Unix datagram sockets."""
    return hasattr(socket, "AF_UNIX") and os.name == "posix"


class SocketDoorbell(Doorbell):
    """A socket that is readable once somebody rang."""

    def __init__(self, folder: Path) -> None:
        self._path: str | None = None
        self._pid = os.getpid()
        if has_unix_sockets():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._path = str(_private_folder(folder) / f"{self._pid}-{os.urandom(_RANDOM).hex()}")
            self._socket.bind(self._path)
            self.address = f"unix:{self._path}"
            peer: str | tuple[str, int] = self._path
            family = socket.AF_UNIX
        else:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("127.0.0.1", 0))
            peer = self._socket.getsockname()
            self.address = f"udp:{peer[0]}:{peer[1]}"
            family = socket.AF_INET
        self._socket.setblocking(False)
        # Connected now, so that `ring` reaches the socket even after somebody removed its file.
        self._own_ringer = socket.socket(family, socket.SOCK_DGRAM)
        self._own_ringer.setblocking(False)
        self._own_ringer.connect(peer)
        self._closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._socket.recv(16)

    def ring(self) -> None:
        with contextlib.suppress(OSError):
            self._own_ringer.send(b"!")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._socket.close()
        self._own_ringer.close()
        # A child that inherited the bell must not take it from its parent.
        if self._path is not None and os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def _fits(folder: Path) -> bool:
    longest_name = f"/{2**22}-" + "f" * 2 * _RANDOM
    return len(os.fsencode(folder)) + len(longest_name) <= _LONGEST_PATH


def _folder_elsewhere() -> Path:
    return Path(tempfile.gettempdir()) / f"pynenc-wake-{os.getuid()}"


def _private_folder(wanted: Path) -> Path:
    """Return the folder for sockets beside the file, or a private one if that cannot be or its path is too long."""
    if _fits(wanted):
        with contextlib.suppress(OSError):
            create_folders(wanted)
            if os.access(wanted, os.W_OK | os.X_OK):
                return wanted
    folder = _folder_elsewhere()
    folder.mkdir(mode=0o700, exist_ok=True)
    # Somebody else may have made a folder of this name, to listen in.
    return folder if folder.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp(prefix="pynenc-wake-"))


class Ringer:
    """Rings bells of other processes. Never blocks, never fails: a bell that nobody hears is no error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start_afresh()
        _ringers.add(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}

    def doorbell(self) -> SocketDoorbell:
        """Return a new bell of this process, after clearing away those of dead ones."""
        self.sweep()
        return SocketDoorbell(self._folder)

    def ring(self, addresses: Iterable[str]) -> None:
        """Send one byte to each address."""
        for address in addresses:
            target = _target(address)
            if target is not None:
                family, peer = target
                # Full means that it has rung already; refused or gone means that nobody sleeps there.
                with contextlib.suppress(OSError):
                    self._socket_of(family).sendto(b"!", socket.MSG_DONTWAIT, peer)

    def _socket_of(self, family: int) -> socket.socket:
        found = self._sockets.get(family)
        if found is None:
            with self._lock:
                found = self._sockets.get(family)
                if found is None:
                    found = self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
                    found.setblocking(False)
        return found

    def remove_if_dead(self, address: str) -> None:
        """Remove the file of a bell that nobody holds any more."""
        if address.startswith("unix:"):
            self._remove_if_dead(address.removeprefix("unix:"))

    def _remove_if_dead(self, path: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)

    def sweep(self) -> None:
        """Remove the files of all bells that nobody holds any more."""
        if not has_unix_sockets():
            return
        for folder in (self._folder, _folder_elsewhere()):
            with contextlib.suppress(OSError):
                for entry in os.scandir(folder):
                    self._remove_if_dead(entry.path)

    def close(self) -> None:
        """Give descriptors back; the next ring opens them anew."""
        with self._lock:
            sockets, self._sockets = self._sockets, {}
        for each in sockets.values():
            each.close()


def _target(address: str) -> tuple[int, str | tuple[str, int]] | None:
    kind, _, rest = address.partition(":")
    if kind == "unix" and has_unix_sockets():
        return socket.AF_UNIX, rest
    if kind == "udp":
        host, _, port = rest.rpartition(":")
        if port.isdigit():
            return socket.AF_INET, (host, int(port))
    return None


_ringers: weakref.WeakSet[Ringer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for ringer in list(_ringers):
        ringer._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
