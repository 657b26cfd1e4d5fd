"""Bells: a broken line is noticed, and what a crash of the server may have taken is asked for again."""

from __future__ import annotations

import queue
from pathlib import Path

import psycopg

from pynenc.backends.postgresql.backend import PostgresqlBackend
from pynenc.composition import open_backend
from pynenc.core.client import Client
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Exchange, Outcome, SessionInfo, SessionKind, Submission, Success
from tests import stores
from tests.servers import url_of

_HOUR_US = 3_600_000_000


def test_a_client_whose_watch_was_lost_with_its_line_still_gets_the_outcome(tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as (url, app_id):
        backend = open_backend(url, app_id=app_id)
        assert isinstance(backend, PostgresqlBackend)
        control, schema = backend.orchestrator, backend.database.location.schema
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1)
        runner = run(control.open_session(info, lease_us=_HOUR_US))
        item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"")
        run(control.submit([item]))
        # With so long a lease the client's heartbeat cannot be what helps it.
        client = Client(control, lease_us=_HOUR_US, name="c")
        arrived: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        run(client.subscribe([item.invocation_id], arrived.put))
        claim = run(control.exchange(Exchange(session=runner, want=1))).claims[0]

        with psycopg.connect(url_of("postgresql"), autocommit=True) as admin:
            admin.execute(f"DELETE FROM {schema}.watch")
            done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"42")
            run(control.exchange(Exchange(session=runner, completions=(done,))))
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s", (f"LISTEN%{schema}",)
            )
        outcome = arrived.get(timeout=30)

        assert isinstance(outcome, Outcome)
        assert outcome.payload == b"42"
        client.close()
        backend.close()
