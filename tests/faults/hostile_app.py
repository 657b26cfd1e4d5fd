"""Bodies that do what no body should."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from pynenc import Pynenc, current_invocation

app = Pynenc(app_id="hostile")


class NotAnException(BaseException):
    """Passes every `except Exception`."""


app.register_types(NotAnException)


@app.task
def ping(value: int) -> int:
    return value


@app.task
def leave(code: int) -> None:
    os._exit(code)


@app.task
def leave_once(marker: str) -> str:
    path = Path(marker)
    if not path.exists():
        path.touch()
        os._exit(3)
    return "second run"


@app.task
def fork_and_leave_the_child() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(0.2)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@app.task
def close_standard_streams() -> str:
    os.close(1)
    os.close(2)
    sys.stdout = None
    return "closed"


@app.task
def raise_base() -> None:
    raise NotAnException("through everything")


@app.task
def raise_exit() -> None:
    sys.exit(5)


@app.task
def huge(size: int) -> bytes:
    return b"x" * size


@app.task
def chatter(lines: int) -> int:
    for number in range(lines):
        print("line", number)
    return lines


@app.task
def not_storable() -> object:
    return threading.Lock()


@app.task
def recurse(depth: int) -> int:
    return 1 + recurse.func(depth - 1) if depth else 0


@app.task
def who() -> str:
    return current_invocation().invocation_id
