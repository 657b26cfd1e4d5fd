"""An app whose middleware never comes back from `flush` in worker processes."""

from __future__ import annotations

import os
import threading

from pynenc import Pynenc
from pynenc.middleware import Middleware

RUNNER = "TEST_HANGING_RUNNER"
"""Names the process that does not hang."""


class Hangs(Middleware):
    def flush(self) -> None:
        if os.environ.get(RUNNER) != str(os.getpid()):
            threading.Event().wait()


app = Pynenc(app_id="hanging")
app.add_middleware(Hangs())


@app.task
def pid() -> int:
    return os.getpid()
