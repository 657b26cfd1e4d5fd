"""Operations that run blocking or on an event loop from one implementation.

An operation (`Op[T]`) is a generator that yields requests and returns a `T`. It does nothing until
somebody performs it: `run(op)` in a thread, `await arun(op)` on an event loop. Only a request knows
how to talk to a client library, so only requests exist in two forms.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Request(Protocol[T_co]):
    """One exchange with the outside world."""

    def send(self) -> T_co:
        """Perform the request in the calling thread and return its reply."""

    async def asend(self) -> T_co:
        """Perform the request without blocking the running event loop."""


Op = Generator[Request[Any], Any, T]


class Whole:
    """Base of requests that must not be interrupted: what they take of their process they have to give back."""

    __slots__ = ()


Apart = Callable[[Callable[[], Any]], Any]
"""Calls what it is given and returns what that returns, in one piece."""


class _Thread(threading.local):
    apart: Apart | None = None


_thread = _Thread()


def perform_apart(apart: Apart | None) -> None:
    """Have every `Whole` request that the calling thread sends from now on sent through `apart`; None: directly.

    For threads into which others raise exceptions.
    """
    _thread.apart = apart


def run(op: Op[T]) -> T:
    """Perform `op` in the calling thread and return its result.

    An error of a request is raised inside the operation, at the place that yielded the request.
    """
    apart = _thread.apart
    try:
        request = next(op)
        while True:
            try:
                reply = apart(request.send) if apart is not None and isinstance(request, Whole) else request.send()
            except BaseException as error:  # noqa: BLE001 - raised inside the operation
                request = op.throw(error)
            else:
                request = op.send(reply)
    except StopIteration as finished:
        result: T = finished.value
        return result


async def arun(op: Op[T]) -> T:
    """Perform `op` on the running event loop and return its result; see `run`."""
    try:
        request = next(op)
        while True:
            try:
                reply = await request.asend()
            except BaseException as error:  # noqa: BLE001 - raised inside the operation
                request = op.throw(error)
            else:
                request = op.send(reply)
    except StopIteration as finished:
        result: T = finished.value
        return result


class Immediate(Whole):
    """A request that a function answers at once, without waiting for anything outside this process."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def send(self) -> Any:
        return self._function()

    async def asend(self) -> Any:
        return self._function()
