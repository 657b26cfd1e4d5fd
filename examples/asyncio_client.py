"""Submitting and awaiting from an event loop: no thread, nothing blocks."""

from __future__ import annotations

import asyncio

from pynenc import Pynenc

app = Pynenc(app_id="asyncio-client", runner="AsyncRunner")


@app.task
async def fetch(page: int) -> str:
    await asyncio.sleep(0.05)  # stands for a request to somewhere
    return f"page {page}"


async def main() -> None:
    async with app.running():
        first = await fetch.acall(1)
        print("one:", await first)

        group = await fetch.aparallelize((page,) for page in range(2, 12))
        pages = [page async for page in group.async_results()]
        print("many:", ", ".join(sorted(pages, key=lambda page: int(page.split()[1]))))


if __name__ == "__main__":
    asyncio.run(main())
