"""`pynenc doctor`: is the system healthy?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.tables import print_table
from pynenc.core.why import pause_text
from pynenc.errors import ConfigurationError, StoreError
from pynenc.io import run
from pynenc.model.records import QueueStats, SessionKind, SessionRow
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Finding
from pynenc.ports.transfer import situation

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_LONG_US = 60_000_000
"""So long nothing should wait while somebody is free to run it."""
_DUMB = ("server", "store")
"""What a store that does not answer has an error about."""
_INTERRUPTED = (InvocationStatus.KILLED, InvocationStatus.RUNNING_RECOVERY, InvocationStatus.PENDING_RECOVERY)


@click.command()
@click.option("--repair", is_flag=True, help="First rebuild what the records of the store say otherwise.")
@with_state
def doctor(state: State, repair: bool) -> int:
    """Check configuration, store, invariants of the engine, runners and queues. Exits with 1 if something is broken."""
    app = state.app()
    findings = [*(_repaired(app) if repair else ()), *examine(app, time.time_ns() // 1_000)]
    healthy = all(each.level != "error" for each in findings)
    rows = [(each.level, each.subject, each.detail, each.remedy) for each in findings]
    if state.as_json:
        keys = ("level", "subject", "detail", "remedy")
        print_json({"healthy": healthy, "findings": [dict(zip(keys, row, strict=True)) for row in rows]})
    else:
        print_table("doctor", ["level", "subject", "detail", "what to do"], rows)
    return 0 if healthy else 1


def examine(app: Pynenc, now_us: int) -> Iterator[Finding]:
    """Yield what there is to say, the good and the bad."""
    yield from _configuration(app)
    sealed = _seal(app)
    if sealed is not None:
        # Nothing else answers in such a store.
        yield sealed
        return
    findings = _of_store(app)
    yield from findings
    if any(each.level == "error" and each.subject in _DUMB for each in findings):
        # Whatever is asked of such a store fails in the same way.
        return
    yield from _data_store(app)
    yield from _work(app)
    sessions = run(app.control.list_sessions())
    yield from _runners([row for row in sessions if row.info.kind is SessionKind.RUNNER], now_us)
    yield from _lost_owners(sessions, now_us)
    for stats in run(app.control.queue_stats()):
        yield from _queue(stats, sessions, now_us)


def _of_store(app: Pynenc) -> list[Finding]:
    try:
        return run(app.backend.diagnose())
    except (StoreError, ConfigurationError) as error:
        return [Finding(level="error", subject="store", detail=str(error))]


def _data_store(app: Pynenc) -> list[Finding]:
    """Return how the client data store is, if the app names one of its own that can tell."""
    try:
        diagnose = getattr(app.data_store_apart, "diagnose", None)
        return [] if diagnose is None else run(diagnose())
    except (StoreError, ConfigurationError) as error:
        return [Finding(level="error", subject="client data", detail=str(error))]


def _repaired(app: Pynenc) -> Iterator[Finding]:
    for violation in run(app.control.verify(repair=True)):
        yield Finding(level="warning", subject=f"repaired {violation.invariant}", detail=violation.detail)


def _configuration(app: Pynenc) -> Iterator[Finding]:
    views = app.conf.describe()
    set_somewhere = [view for view in views if view.origin != "default"]
    yield Finding(
        level="ok", subject="configuration", detail=f"app {app.app_id}: {len(set_somewhere)} settings are not defaults"
    )
    for view in set_somewhere:
        if view.retired is not None:
            yield Finding(
                level="warning",
                subject=f"setting {view.name}",
                detail=f"has no effect: {view.retired}",
                remedy=f"remove it from {view.origin}",
            )


def _seal(app: Pynenc) -> Finding | None:
    try:
        seal = run(app.backend.transfer.survey()).seal
    except (StoreError, ConfigurationError):
        # The store says itself what is wrong with it.
        return None
    if seal is None:
        return None
    detail, remedy = situation(seal, app.backend.url)
    return Finding(level="error", subject="move", detail=detail, remedy=remedy)


def _work(app: Pynenc) -> Iterator[Finding]:
    state = app.backend.state_backend
    final = tuple(status for status in InvocationStatus if status.is_final())
    total, ended = run(state.count()), run(state.count(statuses=final))
    yield Finding(level="ok", subject="invocations", detail=f"{total - ended} live, {ended} ended")
    interrupted = run(state.count(statuses=_INTERRUPTED))
    if interrupted:
        yield Finding(
            level="warning",
            subject="interrupted work",
            detail=f"{interrupted} lost their worker or runner and wait to run again",
            remedy="look at them: pynenc invocations list --status killed --status running_recovery "
            "--status pending_recovery",
        )


def _runners(rows: Sequence[SessionRow], now_us: int) -> Iterator[Finding]:
    alive = [row for row in rows if row.expires_at_us > now_us]
    if not alive:
        yield Finding(
            level="warning", subject="runners", detail="none is alive", remedy="start one: pynenc runner start"
        )
    for row in alive:
        queues = ", ".join(row.info.queues) or "all queues"
        grows = f" (up to {row.info.most_slots})" if row.info.most_slots > row.info.slots else ""
        detail = f"{row.running} of {row.info.slots} slots{grows} busy, serves {queues}"
        yield Finding(level="ok", subject=row.info.name, detail=detail)


def _lost_owners(rows: Sequence[SessionRow], now_us: int) -> Iterator[Finding]:
    for row in rows:
        if row.expires_at_us <= now_us and row.owned:
            silent_s = (now_us - row.expires_at_us) / 1_000_000
            yield Finding(
                level="warning",
                subject=row.info.name,
                detail=f"its lease ended {silent_s:.0f} s ago and it still holds {row.owned} invocations",
                remedy="start a runner: it takes them over",
            )


def _queue(stats: QueueStats, sessions: Sequence[SessionRow], now_us: int) -> Iterator[Finding]:
    subject = f"queue {stats.queue}"
    if stats.pause is not None:
        yield Finding(
            level="warning",
            subject=subject,
            detail=f"paused{pause_text(stats.pause, now_us)}; {stats.ready} wait",
            remedy=f"pynenc resume {stats.queue}",
        )
    elif stats.ready and not stats.listeners:
        yield Finding(
            level="warning",
            subject=subject,
            detail=f"{stats.ready} wait and no runner serves it",
            remedy=f"pynenc runner start --queues {stats.queue}",
        )
    elif stats.oldest_ready_at_us is not None and now_us - stats.oldest_ready_at_us > _LONG_US:
        free = sum(_free_slots(row, stats.queue) for row in sessions if row.expires_at_us > now_us)
        waited_s = (now_us - stats.oldest_ready_at_us) / 1_000_000
        yield Finding(
            level="error" if free else "warning",
            subject=subject,
            detail=f"the oldest of {stats.ready} waits for {waited_s:.0f} s, {free} slots of its runners are free",
            remedy="look into the logs of its runners" if free else "start more runners",
        )


def _free_slots(row: SessionRow, queue: str) -> int:
    serves = row.info.kind is SessionKind.RUNNER and (not row.info.queues or queue in row.info.queues)
    return max(0, row.info.slots - row.running) if serves else 0
