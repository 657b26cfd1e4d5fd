"""Agreeing with the store again after an exchange whose reply got lost."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from pynenc.model.records import Completion, Owned, Release
from pynenc.model.status import State
from pynenc.runners.run_table import Phase, Run, RunTable
from pynenc.runners.settler import Settler


class Differences(Struct, frozen=True):
    """What has to be done so that runner and store agree."""

    completions: tuple[Completion, ...]
    """To be sent: releases of claims that got lost on the way, waits the store does not know."""
    superseded: tuple[Run, ...]
    """Runs the session does not own any more."""
    cancelled: tuple[Run, ...]
    """Runs somebody asked to cancel without us hearing of it."""


def differences(owned: Iterable[Owned], table: RunTable, settler: Settler) -> Differences:
    """Compare what the store says the session owns with what the runner runs.

    Nothing is missed: completions that may not have arrived are still with the settler; a resumption whose
    reply was lost shows as OWNED here while the body waits, and asking again to suspend it answers SATISFIED.
    """
    completions: list[Completion] = []
    cancelled: list[Run] = []
    seen: set[bytes] = set()
    for item in owned:
        run = table.get(item.invocation_id, item.epoch)
        if run is not None:
            seen.add(item.invocation_id)
            completions += _wait_again(item, run, settler)
            if item.cancel_requested and not run.cancel_told:
                cancelled.append(run)
        elif item.state is State.OWNED and not settler.holds(item.invocation_id, item.epoch):
            completions.append(
                Release(invocation_id=item.invocation_id, epoch=item.epoch, detail="its claim got lost on the way")
            )
    superseded = tuple(run for run in table if run.invocation_id not in seen)
    return Differences(tuple(completions), superseded, tuple(cancelled))


def _wait_again(item: Owned, run: Run, settler: Settler) -> list[Completion]:
    lost = (
        run.phase is Phase.SUSPENDED
        and run.suspend is not None
        and item.state is State.OWNED
        and not settler.has_suspend(run.invocation_id)
    )
    return [run.suspend] if lost and run.suspend is not None else []
