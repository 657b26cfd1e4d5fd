"""Giving connections of an event loop back when it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable


def at_loop_end(close: Callable[[], Awaitable[object]]) -> AsyncGenerator[None, None]:
    """Have `close` awaited when the running event loop ends, as those of `asyncio.run` and `asyncio.Runner` do.

    They end what is suspended in an asynchronous generator, after they cancelled all tasks: this is one.

    Returns:
        What has to be kept for so long. Dropping it closes at once, if the loop still runs.
    """

    async def suspended() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await close()

    generator = suspended()
    try:
        # Up to its yield it awaits nothing, so that nothing has to be awaited here.
        generator.asend(None).send(None)
    except StopIteration:
        pass
    return generator
