"""What type checkers see of decorated functions. Checked by mypy and pyright in `test_typing.py`, never run."""

from __future__ import annotations

from typing import assert_type

from pynenc import BaseInvocation, BaseInvocationGroup, Pynenc, Task

app = Pynenc("memory://")


@app.task
def add(x: int, y: int = 0) -> str:
    return str(x + y)


@app.task(max_retries=3, retry_for=(OSError,))
def with_options(name: str, *, loud: bool = False) -> list[str]:
    return [name]


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.task(timeout=3)
async def fetch_with_options(url: str) -> bytes:
    return url.encode()


@app.direct_task
def direct(x: int) -> float:
    return x / 2


@app.direct_task(max_retries=1)
async def direct_async(x: int) -> float:
    return x / 2


async def check() -> None:
    assert_type(add(1, 2).result, str)
    assert_type(add(1, y=2).get(timeout=1), str)
    assert_type(await add(1), str)
    assert_type(with_options("a", loud=True).result, list[str])
    assert_type(fetch("u").result, bytes)
    assert_type(await fetch("u"), bytes)
    assert_type((await fetch.acall("u")).result, bytes)
    assert_type(fetch_with_options("u").result, bytes)
    assert_type(direct(1), float)
    assert_type(await direct_async(1), float)
    assert_type(add.options(queue="mail")(1).result, str)
    assert_type(list(add.parallelize([(1, 2)]).results), list[str])
    assert_type([each async for each in add.parallelize([(1, 2)]).async_results()], list[str])


def published_names(group: BaseInvocationGroup[..., int], invocation: BaseInvocation[..., int]) -> None:
    assert_type(invocation.result, int)
    for each in group.results:
        assert_type(each, int)


def parameters_are_kept(task: Task[[int], str]) -> None:
    assert_type(task(1).result, str)
