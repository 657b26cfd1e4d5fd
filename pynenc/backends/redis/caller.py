"""Calls of scripts by name, with the time of tests where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pynenc.backends.redis.codec import unpack
from pynenc.backends.redis.connecting import Connections
from pynenc.backends.redis.doorbell import Bells
from pynenc.backends.redis.faults import GatesInUse
from pynenc.backends.redis.scripts import load
from pynenc.io import Op
from pynenc.ports.backend import ClockUs
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.transfer import Seal, refusal

if TYPE_CHECKING:
    from pynenc.ports.loop_doorbell import Heard, LoopDoorbell

MOVING = "moving"
"""Stands for the time of tests in the operations of a move; see `shared/store.lua`."""


def under(mark: Seal) -> str:
    """Return what stands there for one that relies on a seal."""
    return f"{MOVING} {mark.text}"


class Caller:
    """Runs the scripts of one app."""

    def __init__(self, connections: Connections, bells: Bells, clock: ClockUs | None) -> None:
        self._connections = connections
        self._bells = bells
        self._clock = clock
        self._gated = False
        """Whether the app is known to have gates: it will always have."""

    def call(
        self,
        name: str,
        *arguments: Any,
        durable: bool = False,
        repeatable: bool = True,
        moving: str = "",
        gated: bool = False,
    ) -> Op[Any]:
        """Run a script and return its reply as it is.

        Args:
            durable: wait for replicas where the durability asks for them.
            repeatable: send it again after a lost reply; False for what would claim twice.
            moving: `MOVING` or `under` a seal: it is part of a move.
            gated: it needs the build that knows of gates, whether or not the app has some.

        Raises:
            StoreSealed: everything is or was moved to another store.
        """
        now = moving or ("" if self._clock is None else self._clock())
        given, options = (now, *arguments), {"durable": durable, "repeatable": repeatable}
        if not (gated or self._gated):
            try:
                return (yield from self._connections.run(load(name), given, **options))
            except GatesInUse:
                self._gated = True
        return (yield from self._connections.run(load(name, gated=True), given, **options))

    def read(self, name: str, *arguments: Any, moving: str = "") -> Op[Any]:
        """Run a script and return its reply unpacked."""
        return unpack((yield from self.call(name, *arguments, moving=moving)))

    def get_many(self, names: Sequence[bytes]) -> Op[list[Any]]:
        """Return the values of string keys, None where there is none.

        Raises:
            StoreSealed: everything is or was moved to another store.
        """
        keys = [self.key(name) for name in (*names, b"sealed")]
        values: list[Any] = yield from self._connections.command("MGET", *keys)
        sealed = values.pop()
        if sealed is not None:
            raise refusal(sealed.decode(), self._connections.location.public_url)
        return values

    def command(self, *parts: bytes | str | int) -> Op[Any]:
        """Run one plain command."""
        return self._connections.command(*parts)

    def key(self, name: bytes) -> bytes:
        """Return the full name of one of the app's keys."""
        return self._connections.prefix + name

    def doorbell(self) -> Doorbell:
        return self._bells.doorbell()

    def doorbell_on_loop(self, heard: Heard) -> LoopDoorbell:
        from pynenc.backends.redis.loop_doorbell import RedisLoopBell

        return RedisLoopBell(self._connections, heard)
