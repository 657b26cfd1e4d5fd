"""How lanes are found in a file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from pynenc.backends.sqlite import SqliteBackend, flows, gated_claiming, lane
from pynenc.io import run
from pynenc.model.gates import SlotGate
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import Submission
from pynenc.ports.transfer import Seal, SealState
from tests.sqlite.conftest import Open
from tests.sqlite.words import drain, runner

ONE = SlotGate(key="k", limit=1)
LEAVING = Seal(SealState.LEAVING, "move-1", "redis://elsewhere/0")


def test_a_claim_seeks_its_tokens_whatever_is_blocked(path: Path, store: SqliteBackend) -> None:
    _submit(store)
    statements = [
        *(lane.READY_LANES, lane.PARKED_LANES, lane.LANES_OF_FLOW, lane._MEMBERS, flows._IN_ORDER),
        *(gated_claiming._PLAIN, gated_claiming._PLAIN_NEEDED, gated_claiming._GATED_NEEDED),
    ]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            marks = [1] * statement.count("?")
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", marks)]
            assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], (statement, plan)


def test_a_process_that_outlives_a_move_away_and_back_goes_on_submitting_what_claims_find(open_store: Open) -> None:
    outlives, mover = open_store(), open_store()
    _submit(outlives)
    run(mover.state_backend.purge())
    transfer = mover.transfer
    run(transfer.seal(LEAVING, instead_of=None))
    header = run(transfer.header())
    run(transfer.clear(LEAVING))
    run(transfer.put_header(LEAVING, header))
    run(transfer.unseal(LEAVING))

    later = _submit(outlives)

    assert drain(mover, runner(mover)) == [later]


def _submit(store: SqliteBackend) -> InvocationId:
    item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"", gates=(ONE,))
    run(store.orchestrator.submit([item]))
    return item.invocation_id
