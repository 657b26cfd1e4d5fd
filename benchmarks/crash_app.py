"""Tasks that end their worker, for measurements."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pynenc import Pynenc

app = Pynenc(app_id="bench-crash")


@app.task
def echo(value: int) -> int:
    return value


@app.task
def die_once(marker: str) -> float:
    """End the worker process and note when; the second time return when the body began, by the system's clock."""
    began = time.time()
    file = Path(marker)
    if file.exists():
        return began
    file.write_text(repr(time.time()))
    os._exit(1)


@app.task
def meet(folder: str, party: int) -> None:
    """Come back when so many bodies are in it: there are as many workers then."""
    Path(folder, f"{os.getpid()}").touch()
    while len(list(Path(folder).iterdir())) < party:
        time.sleep(0.005)
