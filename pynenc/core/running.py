"""A runner beside the caller, for as long as a block lasts."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynenc.app import Pynenc


class RunningApp:
    """`with app.running():` or `async with app.running():`."""

    def __init__(self, app: Pynenc, drain_timeout: float) -> None:
        self._app = app
        self._drain_timeout = drain_timeout

    def __enter__(self) -> Pynenc:
        self._app.runner.start()
        return self._app

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app.runner.drain(self._drain_timeout)

    async def __aenter__(self) -> Pynenc:
        import asyncio

        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.__exit__, kind, error, trace)
