"""`pynenc doctor`: is the system healthy?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, print_json, print_table, with_state
from pynenc.io import run
from pynenc.model.records import SessionKind
from pynenc.ports.backend import Finding

if TYPE_CHECKING:
    from pynenc.app import Pynenc


@click.command()
@with_state
def doctor(state: State) -> int:
    """Check the store, the invariants of the engine, runners and queues. Exits with 1 if something is broken."""
    app = state.app()
    findings = [*run(app.backend.diagnose()), *_runners(app), *_queues(app)]
    rows = [(each.level, each.subject, each.detail, each.remedy) for each in findings]
    if state.as_json:
        keys = ("level", "subject", "detail", "remedy")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table("doctor", ["level", "subject", "detail", "what to do"], rows)
    return 1 if any(each.level == "error" for each in findings) else 0


def _runners(app: Pynenc) -> Iterator[Finding]:
    rows = [row for row in run(app.control.list_sessions()) if row.info.kind is SessionKind.RUNNER]
    if not rows:
        yield Finding(
            level="warning", subject="runners", detail="none is alive", remedy="start one: pynenc runner start"
        )
    for row in rows:
        queues = ", ".join(row.info.queues) or "all queues"
        yield Finding(
            level="ok", subject=row.info.name, detail=f"{row.running} of {row.info.slots} slots busy, serves {queues}"
        )


def _queues(app: Pynenc) -> Iterator[Finding]:
    for stats in run(app.control.queue_stats()):
        if stats.ready and not stats.listeners:
            yield Finding(
                level="warning",
                subject=f"queue {stats.queue}",
                detail=f"{stats.ready} wait and no runner serves it",
                remedy=f"pynenc runner start --queues {stats.queue}",
            )
        if stats.paused:
            yield Finding(
                level="warning",
                subject=f"queue {stats.queue}",
                detail=f"paused; {stats.ready} wait",
                remedy=f"pynenc resume {stats.queue}",
            )
