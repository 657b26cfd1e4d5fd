"""The app of the mixed load: importable by worker processes."""

from __future__ import annotations

import time

from pynenc import Pynenc

app = Pynenc(app_id="mixed_load")


@app.task
def doze(seconds: float) -> None:
    time.sleep(seconds)
