"""Telling middleware of waits: around the outcomes as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from pynenc.io import arun, run
from pynenc.middleware.base import Middleware
from pynenc.middleware.events import WaitEvent
from pynenc.model.ids import InvocationId
from pynenc.model.records import Outcome

if TYPE_CHECKING:
    from pynenc.app import Pynenc


def told_each(
    app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None, outcomes: Iterator[Outcome]
) -> Iterator[Outcome]:
    """Yield `outcomes` between the hooks around a wait; it is over when nobody asks for more, too."""
    event = WaitEvent(app, ids, timeout_s)
    entered: list[Middleware] = []
    run(app.hooks.enter("wait", event, entered))
    try:
        for outcome in outcomes:
            event.arrived += 1
            yield outcome
    except GeneratorExit:
        raise
    except BaseException as error:
        event.error = error
        raise
    finally:
        run(app.hooks.leave("wait", event, entered))


async def atold_each(
    app: Pynenc, ids: Sequence[InvocationId], timeout_s: float | None, outcomes: AsyncIterator[Outcome]
) -> AsyncIterator[Outcome]:
    """`told_each` for a coroutine."""
    event = WaitEvent(app, ids, timeout_s)
    entered: list[Middleware] = []
    await arun(app.hooks.enter("wait", event, entered))
    try:
        async for outcome in outcomes:
            event.arrived += 1
            yield outcome
    except GeneratorExit:
        raise
    except BaseException as error:
        event.error = error
        raise
    finally:
        await arun(app.hooks.leave("wait", event, entered))
