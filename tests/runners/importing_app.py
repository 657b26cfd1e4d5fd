"""Tasks that tell what was imported while their bodies ran."""

from __future__ import annotations

import sys

from pynenc import Pynenc, current_invocation

app = Pynenc(app_id="importing")


@app.task
def leaf(number: int) -> int:
    return number


def _modules() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] == "pynenc"}


@app.task
def submits_and_waits(number: int) -> list[str]:
    """Use what bodies use most; return the modules of Pynenc that were imported meanwhile."""
    before = _modules()
    current_invocation().progress(1, 2, "half")
    assert leaf(number).result == number
    assert sum(leaf.parallelize([(number,)] * 3).results) == 3 * number
    return sorted(_modules() - before)


@app.task
async def submits_and_awaits(number: int) -> list[str]:
    before = _modules()
    assert await (await leaf.acall(number)) == number
    return sorted(_modules() - before)
