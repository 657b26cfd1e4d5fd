"""The app whose tasks the measurements run."""

from __future__ import annotations

import asyncio
import os
import time

from pynenc import Pynenc

app = Pynenc(os.environ.get("PYNENC_URL", "sqlite:///bench.db"), app_id="bench")


@app.task(max_retries=0)
def echo(value: int) -> int:
    return value


@app.task
def hold(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@app.task
async def doze(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.task
def doze_and_return(value: int, seconds: float) -> int:
    time.sleep(seconds)
    return value


@app.task
def keep(text: str) -> str:
    return text
