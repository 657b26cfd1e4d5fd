"""Tasks that note how many of them ran at once, for runners in threads and in processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pynenc import Limit, Pynenc

app = Pynenc(os.environ.get("LIMITED_APP_URL", "memory://"), app_id=os.environ.get("LIMITED_APP_ID", "limited"))


def note(folder: str, name: str, seconds: float = 0.02) -> int:
    """Return how many were inside at once, this one included, when it came."""
    mine = Path(folder) / f"{os.getpid()}-{name}"
    mine.touch(exist_ok=False)
    inside = len(list(Path(folder).iterdir()))
    time.sleep(seconds)
    mine.unlink()
    return inside


@app.task(limits=Limit("folder", 2, by="folder"))
def limited(folder: str, n: int) -> int:
    return note(folder, f"limited-{n}")


@app.task(limits=Limit("folder", 2, by="folder"))
def limited_too(folder: str, n: int) -> int:
    return note(folder, f"too-{n}")


@app.task(ordering_key="name", max_retries=1, retry_for=(OSError,), retry_delay=0.01)
def ordered(path: str, name: str, n: int) -> None:
    with Path(path, name).open("a") as file:
        file.write(f"{n}\n")
    if n % 5 == 0 and ordered.invocation.num_retries == 0:
        raise OSError("once more")
