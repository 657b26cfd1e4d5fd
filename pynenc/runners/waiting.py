"""The one way a control loop sleeps."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.polling import readable


class Wait:
    """A request that returns when one of `descriptors` is readable or `timeout_s` has passed.

    Its reply names those that are readable. A simulator answers it itself, without calling `send`.
    """

    __slots__ = ("descriptors", "timeout_s")

    def __init__(self, descriptors: Sequence[int], timeout_s: float) -> None:
        self.descriptors = descriptors
        self.timeout_s = timeout_s

    def send(self) -> frozenset[int]:
        return readable(self.descriptors, self.timeout_s)

    async def asend(self) -> frozenset[int]:
        import asyncio

        return await asyncio.to_thread(self.send)
