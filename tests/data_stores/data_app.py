"""The app of these tests, importable by worker processes."""

from __future__ import annotations

from pynenc import Pynenc

app = Pynenc(app_id="data_tests")

LARGE = 200_000
"""Bytes, well above the threshold."""


@app.task
def double(text: str) -> str:
    return text + text


@app.task
async def double_async(text: str) -> str:
    return text + text


@app.task
def measure(text: str, mark: str) -> int:
    return len(text)


@app.task
def make(size: int, letter: str) -> str:
    return letter * size
