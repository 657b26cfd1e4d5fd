"""Tasks that note how many of them ran at once, for runners in threads and in processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pynenc import Limit, Pynenc

app = Pynenc(os.environ.get("LIMITED_APP_URL", "memory://"), app_id=os.environ.get("LIMITED_APP_ID", "limited"))


@contextmanager
def inside(folder: str) -> Iterator[int]:
    """Tell how many are inside at once, this one included, when it comes."""
    mine = Path(folder) / uuid4().hex
    mine.touch()
    yield len(list(Path(folder).iterdir()))
    mine.unlink()


@app.task(limits=Limit("folder", 2, by="folder"))
def limited(folder: str, n: int) -> int:
    with inside(folder) as many:
        time.sleep(0.02)
    return many


@app.task(limits=Limit("folder", 2, by="folder"))
def limited_too(folder: str, n: int) -> int:
    with inside(folder) as many:
        time.sleep(0.02)
    return many


@app.task(limits=Limit("folder", 2, by="folder"))
async def limited_async(folder: str, n: int) -> int:
    with inside(folder) as many:
        await asyncio.sleep(0.02)
    return many


@app.task(ordering_key="name", max_retries=1, retry_for=(OSError,), retry_delay=0.01)
def ordered(path: str, name: str, n: int) -> None:
    with Path(path, name).open("a") as file:
        file.write(f"{n}\n")
    if n % 5 == 0 and ordered.invocation.num_retries == 0:
        raise OSError("once more")
