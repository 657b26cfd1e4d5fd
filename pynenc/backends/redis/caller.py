"""Calls of scripts by name, with the time of tests where there is one."""

from __future__ import annotations

from typing import Any

from pynenc.backends.redis.codec import unpack
from pynenc.backends.redis.connecting import Connections
from pynenc.backends.redis.doorbell import Bells
from pynenc.backends.redis.scripts import load
from pynenc.io import Op
from pynenc.ports.backend import ClockUs
from pynenc.ports.doorbell import Doorbell


class Caller:
    """Runs the scripts of one app."""

    def __init__(self, connections: Connections, bells: Bells, clock: ClockUs | None) -> None:
        self._connections = connections
        self._bells = bells
        self._clock = clock

    def call(self, name: str, *arguments: Any, durable: bool = False, repeatable: bool = True) -> Op[Any]:
        """Run a script and return its reply as it is.

        Args:
            durable: wait for replicas where the durability asks for them.
            repeatable: send it again after a lost reply; False for what would claim twice.
        """
        now = "" if self._clock is None else self._clock()
        return (yield from self._connections.run(load(name), (now, *arguments), durable=durable, repeatable=repeatable))

    def read(self, name: str, *arguments: Any) -> Op[Any]:
        """Run a script and return its reply unpacked."""
        return unpack((yield from self.call(name, *arguments)))

    def command(self, *parts: bytes | str | int) -> Op[Any]:
        """Run one plain command."""
        return self._connections.command(*parts)

    def key(self, name: bytes) -> bytes:
        """Return the full name of one of the app's keys."""
        return self._connections.prefix + name

    def doorbell(self) -> Doorbell:
        return self._bells.doorbell()
