"""`pynenc simulate`: what another scheduler would have done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.tables import print_table
from pynenc.io import run

_COLUMNS = ("task_id", "number", "p50_s", "p95_s", "max_s", "recorded_p50_s", "recorded_p95_s", "recorded_max_s")


@click.command()
@click.option("--scheduler", required=True, help="Its name, or module:Class; or one for each queue: mail=lifo,*=fifo.")
@click.option("--slots", type=click.IntRange(1), help="Bodies at once; by default as many as ever ran at once.")
@click.option("--queue", "queues", multiple=True, help="Only the work of this queue.")
@click.option("--last", type=click.IntRange(1), default=10_000, show_default=True, help="Most invocations to play.")
@with_state
def simulate(state: State, scheduler: str, slots: int | None, queues: Sequence[str], last: int) -> int:
    """Play recorded work under another scheduler and show how long each task would have waited.

    Work comes when it came and runs for as long as it ran. Exits with 1 if nothing is recorded.
    """
    from pynenc.composition import open_backend
    from pynenc.config.kinds import SCHEDULER
    from pynenc.config.sources import read
    from pynenc.core.recorded import recorded_work
    from pynenc.core.replaying import ReplayClock, replay
    from pynenc.scheduling.naming import scheduler_of

    chosen = scheduler_of(read("--scheduler", SCHEDULER, scheduler, "the command line"))
    app = state.app()
    recorded = run(recorded_work(app, last=last, queues=queues))
    clock = ReplayClock()
    backend = open_backend("memory://", clock=clock)
    slots = slots or max(1, recorded.at_once)
    begun = replay(recorded.workload, chosen, backend, clock, slots=slots)
    rows = _rows(
        ((each.work.task_id, each.waited_us) for each in begun),
        ((work.task_id, us) for work, us in zip(recorded.workload, recorded.waited_us, strict=True)),
    )
    if state.as_json:
        print_json({"scheduler": scheduler, "slots": slots, "played": len(begun), "tasks": rows})
    else:
        title = f"waiting under {scheduler} with {slots} at once, {len(begun)} invocations"
        print_table(title, _COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    return 0 if rows else 1


def _rows(played: Iterable[tuple[str, int]], recorded: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return a row for each task, by its id."""
    by_task: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, pairs in enumerate((played, recorded)):
        for task_id, waited_us in pairs:
            by_task[task_id][side].append(waited_us)
    return [
        {
            "task_id": task_id,
            "number": len(simulated),
            **_figures("", simulated),
            **_figures("recorded_", truth),
        }
        for task_id, (simulated, truth) in sorted(by_task.items())
    ]


def _figures(prefix: str, waited_us: list[int]) -> dict[str, float]:
    waited = sorted(waited_us)
    shares = {"p50_s": 0.5, "p95_s": 0.95, "max_s": 1.0}
    return {
        prefix + name: round(waited[ceil(share * len(waited)) - 1] / 1_000_000, 3) for name, share in shares.items()
    }
