"""Doorbells within one process."""

from __future__ import annotations

import itertools
import os
import socket
import weakref

from pynenc.ports.doorbell import Doorbell

_numbers = itertools.count(1)
_bells: weakref.WeakValueDictionary[str, MemoryDoorbell] = weakref.WeakValueDictionary()


class MemoryDoorbell(Doorbell):
    """A socket pair: rung with one byte."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self.address = f"memory:{os.getpid()}:{next(_numbers)}"
        _bells[self.address] = self

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
        self._receiver.close()
        self._sender.close()


def ring(address: str) -> None:
    """Ring the bell of this process that has this address, if it still exists."""
    bell = _bells.get(address)
    if bell is not None:
        bell.ring()
