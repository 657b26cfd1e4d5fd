"""Work that blocks, for callers that block and for event loops."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

THREADS = 16


class Threads:
    """A few threads that serve event loops; made when the first asks for them, and again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0

    def pool(self) -> ThreadPoolExecutor:
        if self._pid != os.getpid():
            # In a child that was forked the lock may be held by a thread that is not there.
            self._lock, self._pool, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pynenc-data")
            return self._pool

    def close(self) -> None:
        """Let the threads end; the next use makes new ones."""
        pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.shutdown(wait=False)


class InThread:
    """A request that a function answers in the calling thread, or in a thread beside the event loop."""

    __slots__ = ("_function", "_threads")

    def __init__(self, threads: Threads, function: Callable[[], Any]) -> None:
        self._threads = threads
        self._function = function

    def send(self) -> Any:
        return self._function()

    async def asend(self) -> Any:
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(self._threads.pool(), self._function)


class InThreads:
    """A request that several functions answer at the same time; the reply is the list of their answers."""

    __slots__ = ("_functions", "_threads")

    def __init__(self, threads: Threads, functions: Sequence[Callable[[], Any]]) -> None:
        self._threads = threads
        self._functions = functions

    def send(self) -> list[Any]:
        if len(self._functions) == 1:
            return [self._functions[0]()]
        pool = self._threads.pool()
        futures = [pool.submit(function) for function in self._functions]
        try:
            return [future.result() for future in futures]
        finally:
            # After an error; those that are at work end by themselves.
            for future in futures:
                future.cancel()

    async def asend(self) -> list[Any]:
        import asyncio

        loop, pool = asyncio.get_running_loop(), self._threads.pool()
        return await asyncio.gather(*(loop.run_in_executor(pool, function) for function in self._functions))
