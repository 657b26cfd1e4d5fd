"""The app of the tests of many waits: importable by worker processes. Each body tells how crowded its process is."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from pynenc import Pynenc
from pynenc.invocation import DistributedInvocation

app = Pynenc(app_id="waiting")
DELAY_S = 0.2
"""So long after their submission children can be claimed: time for many parents to begin before."""


@app.task
def leaf() -> int:
    return threading.active_count()


@app.task
def parent(levels: int) -> int:
    """Wait for a child that comes later, on so many levels; return the most threads that any of them saw."""
    child = leaf.options(delay=DELAY_S)() if levels == 1 else parent.options(delay=DELAY_S)(levels - 1)
    return max(threading.active_count(), child.result)


@app.task
def waits_for(ids: str, line: int) -> int:
    """Wait for the invocation that a line of a file names."""
    return max(threading.active_count(), _named(ids, line).result)


@app.task
async def async_leaf() -> int:
    return _coroutines()


@app.task
async def async_parent(levels: int) -> int:
    """`parent`, counting coroutines."""
    if levels == 1:
        return max(_coroutines(), await (await async_leaf.options(delay=DELAY_S).acall()))
    return max(_coroutines(), await (await async_parent.options(delay=DELAY_S).acall(levels - 1)))


@app.task
async def async_waits_for(ids: str, line: int) -> int:
    return max(_coroutines(), await _named(ids, line))


def _coroutines() -> int:
    # The body of each is a task, and so is what minds it.
    return len(asyncio.all_tasks()) // 2


def _named(ids: str, line: int) -> DistributedInvocation[..., int]:
    return app.get_invocation(Path(ids).read_text().split()[line])
