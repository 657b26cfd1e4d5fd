"""Gated work beside plain work: what is blocked costs claims nothing, and transactions of users may submit it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pynenc.backends.postgresql.arrays import register
from pynenc.backends.postgresql.backend import PostgresqlBackend
from pynenc.backends.postgresql.requests import EXCHANGE, exchange_columns
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.gates import SlotGate
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Claim, Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.model.status import InvocationStatus
from tests import stores
from tests.servers import url_of

_MINUTE_US = 60_000_000
_INFO = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1)
ONE = SlotGate(key="k", limit=1)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[PostgresqlBackend]:
    with stores.fresh_url("postgresql", tmp_path) as (url, app_id):
        opened = open_backend(url, app_id=app_id)
        assert isinstance(opened, PostgresqlBackend)
        yield opened
        opened.close()


@pytest.fixture
def session(backend: PostgresqlBackend) -> SessionId:
    return run(backend.orchestrator.open_session(_INFO, lease_us=_MINUTE_US))


def submit(backend: PostgresqlBackend, number: int, *gates: SlotGate) -> list[InvocationId]:
    items = [
        Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"", gates=gates) for _ in range(number)
    ]
    run(backend.orchestrator.submit(items))
    return [item.invocation_id for item in items]


def claim(backend: PostgresqlBackend, session: SessionId, want: int) -> tuple[Claim, ...]:
    while True:
        reply = run(backend.orchestrator.exchange(Exchange(session=session, want=want)))
        if reply.claims or not reply.more:
            return reply.claims


def read_rows(backend: PostgresqlBackend, request: Exchange) -> int:
    """Exchange as plain work does; return how many index entries of records and lanes that read."""
    schema = backend.database.location.schema
    with psycopg.connect(url_of("postgresql"), autocommit=True) as connection, connection.transaction():
        register(connection.adapters)
        # Plain: it would fail if it met a gate.
        connection.execute(backend.database.statement(EXCHANGE), [None, False, *exchange_columns(request)])
        row = connection.execute(
            "SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index "
            "WHERE indrelid IN (%s::regclass, %s::regclass)",
            (f"{schema}.live", f"{schema}.lane"),
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("blocked", [20, 600])
def test_plain_work_is_claimed_side_by_side_whatever_is_blocked(
    backend: PostgresqlBackend, session: SessionId, blocked: int
) -> None:
    (holder,) = submit(backend, 1, ONE)
    assert [each.invocation_id for each in claim(backend, session, 1)] == [holder]
    for number in range(blocked // 2):
        submit(backend, 1, ONE, SlotGate(key=f"own {number}", limit=1))
    waiting = submit(backend, blocked // 2, ONE)
    assert claim(backend, session, 5) == ()
    assert set(run(backend.state_backend.statuses(waiting))) == {InvocationStatus.CONCURRENCY_CONTROLLED}
    submit(backend, 20)
    (first,) = claim(backend, session, 1)
    done = Success(invocation_id=first.invocation_id, epoch=first.epoch, result=b"")

    read = read_rows(backend, Exchange(session=session, completions=(done,), want=5))

    assert run(backend.orchestrator.list_owned(session))[1:] != []
    assert read < 60


def test_what_a_transaction_submits_is_queued_in_its_lane_after_the_commit(
    backend: PostgresqlBackend, session: SessionId
) -> None:
    (holder,) = submit(backend, 1, ONE)
    claim(backend, session, 1)
    items = [Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"", gates=(ONE,)) for _ in range(2)]
    with psycopg.connect(url_of("postgresql")) as connection:
        backend.transaction(connection).submit(items)
        assert claim(backend, session, 5) == ()
        connection.commit()

    before = claim(backend, session, 5)
    done = Success(invocation_id=holder, epoch=run(backend.orchestrator.list_owned(session))[0].epoch, result=b"")
    after = run(backend.orchestrator.exchange(Exchange(session=session, completions=(done,), want=5))).claims

    assert before == ()
    assert [each.invocation_id for each in after] == [items[0].invocation_id]
    assert run(backend.orchestrator.verify()) == []


def test_gates_are_named_by_any_text(backend: PostgresqlBackend, session: SessionId) -> None:
    names = ('"', "\\", "{,}", "(,)", "é\n\t ", "'", "NULL", " ", '\\"')
    ids = [submit(backend, 1, SlotGate(key=name, limit=1), SlotGate(key=f"{name}2", limit=1))[0] for name in names]

    claims = claim(backend, session, len(names))

    assert [each.invocation_id for each in claims] == ids
    snapshots = run(backend.state_backend.snapshots(ids))
    assert [each and each.call.gates[0].key for each in snapshots] == list(names)


def test_several_that_come_before_what_is_blocked_are_let_in_in_their_order(
    backend: PostgresqlBackend, session: SessionId
) -> None:
    gates = [(ONE, SlotGate(key=name, limit=1)) for name in ("a", "b")]
    (holder,) = submit(backend, 1, ONE)
    claim(backend, session, 1)
    for each in gates:
        submit(backend, 1, *each)
    assert claim(backend, session, 5) == ()

    urgent = [
        Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"", gates=each, band=band)
        for each, band in zip(gates, (9, 3), strict=True)
    ]
    run(backend.orchestrator.submit(urgent))
    done = Success(invocation_id=holder, epoch=run(backend.orchestrator.list_owned(session))[0].epoch, result=b"")
    after = run(backend.orchestrator.exchange(Exchange(session=session, completions=(done,), want=5))).claims

    assert [each.invocation_id for each in after] == [urgent[1].invocation_id]
    assert run(backend.orchestrator.verify()) == []
