"""The app of the tests of liveness and of fences: bodies that wait for a word, or end at once."""

from __future__ import annotations

import time
from pathlib import Path

from pynenc import Pynenc
from pynenc.context import current_run

app = Pynenc(app_id="liveness")


@app.task
def double(number: int) -> int:
    return 2 * number


@app.task
def told_apart(begun: str, word: str) -> int:
    """Return the epoch of this claim; the first one to begin says so, and ends only once `word` is there, or when its
    runner stops it. That it ended it says as well."""
    run = current_run.get()
    assert run is not None
    try:
        with Path(begun).open("x") as file:
            file.write(f"{run.claim.epoch}\n")
    except FileExistsError:
        return run.claim.epoch
    try:
        while not Path(word).exists():
            time.sleep(0.02)
    finally:
        Path(f"{begun}.ended").touch()
    return run.claim.epoch
