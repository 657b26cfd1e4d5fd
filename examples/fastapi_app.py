"""A web application with a runner inside: one process serves requests and runs their tasks.

    fastapi run examples/fastapi_app.py

The runner starts with the application and drains when it stops; what has not ended then runs after the next start. When
that is no longer enough, start runners of their own with `pynenc --app examples/fastapi_app.py runner start` and leave
out `app.running()`: nothing else changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Response

from pynenc import Pynenc
from pynenc.errors import InvocationNotFound

app = Pynenc(app_id="letters")


@app.task
def count_letters(text: str) -> dict[str, int]:
    return {letter: text.count(letter) for letter in sorted(set(text))}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with app.running(drain_timeout=10.0):
        yield


api = FastAPI(lifespan=lifespan)


@api.get("/letters/{text}")
async def letters(text: str) -> dict[str, int]:
    """Run a task and answer with its result. Waiting costs no thread."""
    return await (await count_letters.acall(text))


@api.post("/letters/{text}", status_code=202)
async def count_later(text: str) -> dict[str, str]:
    """Answer at once; the task runs even if this process is killed now."""
    invocation = await count_letters.acall(text)
    return {"id": invocation.invocation_id}


@api.get("/invocations/{invocation_id}")
def status(invocation_id: str) -> dict[str, object]:
    try:
        invocation = app.get_invocation(invocation_id)
    except InvocationNotFound as error:
        raise HTTPException(404, "no such invocation") from error
    ended = invocation.status.is_final()
    return {"status": invocation.status.value, "result": invocation.result if ended else None}


@api.get("/livez")
def livez(response: Response) -> dict[str, object]:
    """How the runner inside is, for the probes of the application."""
    health = app.runner.health()
    response.status_code = 200 if health.alive else 503
    return {"alive": health.alive, "ready": health.ready, "reason": health.reason}
