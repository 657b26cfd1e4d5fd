"""The app of the tests of parents that run again. Each run goes about its children in another order."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from pynenc import Pynenc

app = Pynenc(app_id=os.environ.get("REBORN_APP_ID", "reborn"))
CHILDREN = 6


@app.task
def leaf(folder: str, number: int) -> int:
    """End once the file `go` is there."""
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    return number


@app.task
def parent(folder: str) -> int:
    """Submit the children, note which they are and who runs this, and wait for them."""
    runs = len(list(Path(folder).glob("run-*")))
    numbers = list(range(CHILDREN))
    if runs:
        # What a body does may depend on anything: this run comes to one more child, and to all of them the other way.
        numbers = [CHILDREN, *reversed(numbers)]
    children = {number: leaf(folder, number) for number in numbers}
    report = {"pid": os.getpid(), "children": {number: child.invocation_id for number, child in children.items()}}
    part = Path(folder) / "part"
    part.write_text(json.dumps(report))
    part.rename(Path(folder) / f"run-{runs}")
    return sum(children[number].result for number in range(CHILDREN))
