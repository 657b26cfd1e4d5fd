"""Mistakes that type checkers have to find: each marked line, and no other. Never run."""

from __future__ import annotations

from pynenc import Pynenc
from pynenc.middleware import Middleware, SubmitEvent

app = Pynenc("memory://")


class Wrong(Middleware):
    def before_run(self, run: SubmitEvent) -> None: ...  # error


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.direct_task
def direct(x: int) -> float:
    return x / 2


add("1", 2)  # error
add(1)  # error
add(1, 2, 3)  # error
add(1, z=2)  # error
text: str = add(1, 2).result  # error
fetch(3)  # error
number: int = fetch("u").result  # error
direct("x")  # error
add.options(delay=3)("1", 2)  # error
app.add_middleware(3)  # error
