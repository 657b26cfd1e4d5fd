"""An app that cannot be imported while the file named by FRAGILE_APP exists."""

from __future__ import annotations

import os
from pathlib import Path

from pynenc import Pynenc

if Path(os.environ.get("FRAGILE_APP", "/nonexistent")).exists():
    raise RuntimeError("a setting is missing on this machine")

app = Pynenc(app_id="fragile")


@app.task
def echo(value: int) -> int:
    return value
