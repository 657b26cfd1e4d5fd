"""A mover's view of a store, in which something happens after the k-th request: it dies, or somebody else acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pynenc.io import Op
from pynenc.ports.backend import Backend
from pynenc.testing.crashing import SimulatedCrash


class Fate:
    """Counts requests to all stores of a mover, and strikes once.

    Args:
        after: strike after so many requests; None: never.
        strike: what happens then; by default the mover dies.
    """

    def __init__(self, after: int | None, strike: Callable[[], None] | None = None) -> None:
        self._after = after
        self._strike = strike or self._die
        self.requests = 0

    def _die(self) -> None:
        raise SimulatedCrash(f"killed after request {self.requests}")

    def watch(self, op: Op[Any]) -> Op[Any]:
        """Pass the requests of an operation on, and count them."""
        try:
            request = next(op)
            while True:
                try:
                    reply = yield request
                except Exception as error:  # noqa: BLE001 - raised inside the operation
                    request = op.throw(error)
                    continue
                self.requests += 1
                if self.requests == self._after:
                    self._strike()
                request = op.send(reply)
        except StopIteration as finished:
            return finished.value

    def over(self, backend: Backend) -> Backend:
        """Return `backend` as the mover sees it."""
        return cast("Backend", _Mortal(backend, self))


class _Mortal:
    def __init__(self, backend: Backend, fate: Fate) -> None:
        self.url = backend.url
        self.transfer = _Port(backend.transfer, fate)
        self.orchestrator = _Port(backend.orchestrator, fate)


class _Port:
    def __init__(self, port: Any, fate: Fate) -> None:
        self._port = port
        self._fate = fate

    def __getattr__(self, name: str) -> Callable[..., Op[Any]]:
        operation = getattr(self._port, name)
        return lambda *arguments, **options: self._fate.watch(operation(*arguments, **options))
