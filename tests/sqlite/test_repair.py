"""What follows from the records can be rebuilt from them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from pynenc.backends.sqlite import SqliteBackend
from pynenc.io import run
from pynenc.model.records import Exchange, Submission, Suspend
from pynenc.model.status import InvocationStatus
from tests.sqlite.words import drain, items, runner, submit, successes

_DAMAGE = {
    "a session that is gone": "DELETE FROM session",
    "a session that ended without its work": "UPDATE session SET ended_at = 1",
    "timers": "UPDATE live SET due = 77",
    "edges without their waiter": "INSERT INTO wait (waiter, waited) SELECT zeroblob(16), id FROM live LIMIT 1",
    "edges to nobody": "INSERT INTO wait (waiter, waited) SELECT id, zeroblob(16) FROM live LIMIT 1",
    "lost edges": "DELETE FROM wait",
    "flags": "UPDATE live SET flags = 0",
}


@pytest.mark.parametrize("damage", _DAMAGE.values(), ids=_DAMAGE.keys())
def test_repair_mends_what_verify_finds_and_everything_still_ends(
    path: Path, store: SqliteBackend, damage: str
) -> None:
    session = runner(store)
    children = submit(store, 2)
    claims = run(store.orchestrator.exchange(Exchange(session=session, want=2))).claims
    [parent] = submit(store, 1)
    [claim] = run(store.orchestrator.exchange(Exchange(session=session, want=1))).claims
    wait = Suspend(invocation_id=parent, epoch=claim.epoch, waits=tuple(children))
    after = Submission(invocation_id=items(1)[0].invocation_id, task_id="t", arguments=b"", after=(children[0],))
    run(store.orchestrator.submit([after]))
    run(store.orchestrator.exchange(Exchange(session=session, completions=(wait, *successes(claims[1:])))))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()

    found = run(store.orchestrator.verify(repair=True))

    assert found
    assert run(store.orchestrator.verify()) == []
    _finish(store, session=session)
    left = run(store.state_backend.count()) - run(store.state_backend.count(statuses=[InvocationStatus.SUCCESS]))
    assert left == 0
    assert run(store.orchestrator.verify()) == []


def _finish(store: SqliteBackend, *, session: int) -> None:
    """Run everything to its end: what the first session still owns, and what is there for others."""
    row = [row for row in run(store.orchestrator.list_sessions()) if row.session == session]
    if row:
        run(store.orchestrator.close_session(row[0].session))
    drain(store, runner(store))


def test_doctor_says_that_a_sound_store_is_sound(store: SqliteBackend) -> None:
    submit(store, 3)

    findings = run(store.diagnose())

    assert [finding.level for finding in findings] == ["ok"]


def test_doctor_names_broken_invariants(path: Path, store: SqliteBackend) -> None:
    submit(store, 3)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE live SET due = 77")
        connection.commit()

    errors = [finding for finding in run(store.diagnose()) if finding.level == "error"]

    assert len(errors) == 3
    assert all(finding.remedy for finding in errors)
