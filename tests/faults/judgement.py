"""What a judge needs besides the history checker: what bodies wrote, and all that a store keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pynenc.io import run
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.records import ListFilter, Outcome, Snapshot, Success
from pynenc.ports.backend import Backend
from pynenc.testing.simulation.history import Execution, Finding, History
from tests.faults.processes import is_alive

Claimed = tuple[str, str, str]
"""Invocation, session and epoch, as in the log."""
_SLACK_US = 1_000_000
"""How long after it was killed a process may write what it had begun to; far less than its number is used again."""


def read_executions(path: Path, encode: Callable[[int], bytes], *, others_kill: bool = False) -> list[Execution]:
    """Return what the bodies wrote, with the success of those that got to their end and the value they returned.

    Args:
        path: of the execution log, with the kills that were committed.
        encode: a value as the store keeps it.
        others_kill: whether workers die of what is not in the log, such as a limit that their runner keeps.
    """
    lines = [line.split() for line in path.read_text().splitlines()]
    kills: dict[str, list[int]] = {}
    for event, *_, pid, moment, _value in lines:
        if event == "kill":
            kills.setdefault(pid, []).append(int(moment))

    def had_died(pid: str, begun: Execution, before_us: int) -> bool:
        if others_kill and not is_alive(int(pid)):
            return True
        return any(begun.began_us - _SLACK_US <= killed_us <= before_us for killed_us in kills.get(pid, ()))

    runs: dict[Claimed, Execution] = {}
    places: dict[Claimed, str] = {}
    repeated: list[Execution] = []
    for event, invocation, session, epoch, attempt, pid, moment, value in lines:
        key = (invocation, session, epoch)
        if event == "start":
            begun = Execution(
                invocation_id=InvocationId(bytes.fromhex(invocation)),
                session=SessionId(int(session)),
                epoch=Epoch(int(epoch)),
                attempt=int(attempt),
                began_us=int(moment),
            )
            # A worker that is killed in the instant in which a body begins, or while a short one runs, may not have
            # told its runner, which then gives the claim to another: one execution after the other, the first of which
            # had no effect. Two workers that live must never have one claim.
            if key in runs and (places[key] == pid or not had_died(places[key], runs[key], begun.began_us)):
                repeated.append(begun)
            else:
                runs[key], places[key] = begun, pid
        elif event != "kill" and key in runs:
            runs[key].ended_us = int(moment)
            result = encode(int(value))
            runs[key].sent = Success(invocation_id=runs[key].invocation_id, epoch=runs[key].epoch, result=result)
    return [*runs.values(), *repeated]


def unexecuted(history: History, snapshots: list[Snapshot]) -> list[Finding]:
    """Return a finding for each success whose very claim never got to the end of its body."""
    ended = {(each.invocation_id, each.session, each.epoch) for each in history.executions if each.ended_us}
    found = []
    for snapshot in snapshots:
        outcome: Outcome | None = snapshot.outcome
        if outcome is not None and (outcome.invocation_id, outcome.session, outcome.epoch) not in ended:
            found.append(Finding("C2", outcome.invocation_id, "its outcome comes from no body that ended"))
    return found


def everything(backend: Backend) -> list[Snapshot]:
    """Return all invocations that a store knows."""
    found: list[Snapshot] = []
    before: InvocationId | None = None
    while True:
        page = run(backend.state_backend.listing(ListFilter(before=before, limit=500)))
        found += page
        if len(page) < 500:
            return found
        before = page[-1].call.invocation_id
