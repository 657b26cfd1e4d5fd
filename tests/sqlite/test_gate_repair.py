"""Damaged lanes, tokens and units are found, and what follows from the records is made anew."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pynenc.backends.sqlite import SqliteBackend
from pynenc.io import run
from pynenc.model.gates import Flow, SlotGate
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import Exchange, Fence, Submission, Suspend
from pynenc.model.status import InvocationStatus
from tests.sqlite.words import drain, runner

ONE = SlotGate(key="k", limit=1)
HELD = SlotGate(key="held", limit=1, hold_while_waiting=True)

_DAMAGE = {
    "lanes": "DELETE FROM lane",
    "members without their lane": "UPDATE live SET lane = NULL WHERE lane > 0",
    "tokens": "UPDATE lane SET rank = rank + 1",
    "lanes before gates that they do not name": "UPDATE lane SET parked = 'slots:strange'",
    "shares": "DELETE FROM share",
    "units": "DELETE FROM holder",
    "units of nobody": "INSERT INTO holder (gate, id, since, lenders, most) VALUES ('k', zeroblob(16), 1, x'', 1)",
    "more units than the limit": (
        "INSERT INTO holder (gate, id, since, lenders, most) SELECT 'slots:k', id, 1, x'', 1 FROM live WHERE lane > 0"
    ),
    "tokens of those who run": "INSERT INTO resuming (id, rank, trial) SELECT id, rank, 'slots:k' FROM live LIMIT 1",
    "flags": "UPDATE live SET flags = 0",
}


@pytest.mark.parametrize("damage", _DAMAGE.values(), ids=_DAMAGE.keys())
def test_repair_mends_what_verify_finds_of_gates_and_everything_still_ends(
    path: Path, store: SqliteBackend, damage: str
) -> None:
    session = runner(store)
    _submit(store, gates=(ONE,))
    parent = _submit(store, gates=(HELD,))
    claims = run(store.orchestrator.exchange(Exchange(session=session, want=2))).claims
    [waiting] = [claim for claim in claims if claim.invocation_id == parent]
    fence = Fence(session, parent, waiting.epoch)
    child = _submit(store, gates=(HELD,), parent=fence)
    wait = Suspend(invocation_id=parent, epoch=waiting.epoch, waits=(child,))
    for _ in range(2):
        _submit(store, gates=(ONE,))
        _submit(store, flow=Flow("a"))
    run(store.orchestrator.exchange(Exchange(session=session, completions=(wait,), want=2, before=0)))
    assert run(store.orchestrator.exchange(Exchange(session=session, want=1))).claims
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(damage).rowcount
        connection.commit()

    found = run(store.orchestrator.verify(repair=True))

    assert found
    assert run(store.orchestrator.verify()) == []
    run(store.orchestrator.close_session(session))
    drain(store, runner(store))
    left = run(store.state_backend.count()) - run(store.state_backend.count(statuses=[InvocationStatus.SUCCESS]))
    assert left == 0
    assert run(store.orchestrator.verify()) == []


def _submit(store: SqliteBackend, **fields: Any) -> InvocationId:
    item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"", **fields)
    run(store.orchestrator.submit([item]))
    return item.invocation_id
