"""The one way a control loop sleeps."""

from __future__ import annotations

import select
from collections.abc import Sequence


class Wait:
    """A request that returns when one of `descriptors` is readable or `timeout_s` has passed.

    Its reply names those that are readable. A simulator answers it itself, without calling `send`.
    """

    __slots__ = ("descriptors", "timeout_s")

    def __init__(self, descriptors: Sequence[int], timeout_s: float) -> None:
        self.descriptors = descriptors
        self.timeout_s = timeout_s

    def send(self) -> frozenset[int]:
        # Rounded up: a timer must not find itself a fraction of a millisecond early, again and again.
        timeout_ms = int(self.timeout_s * 1000) + 1 if self.timeout_s > 0 else 0
        if not hasattr(select, "poll"):
            return frozenset(select.select(self.descriptors, [], [], timeout_ms / 1000)[0])
        # Not `select`: descriptors of a big process exceed what it can name.
        poller = select.poll()
        for descriptor in self.descriptors:
            poller.register(descriptor, select.POLLIN)
        return frozenset(descriptor for descriptor, _ in poller.poll(timeout_ms))

    async def asend(self) -> frozenset[int]:
        import asyncio

        return await asyncio.to_thread(self.send)
