"""Plans: one that was made while the tables were empty serves them as well when they are full."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pynenc.backends.postgresql.backend import PostgresqlBackend
from pynenc.backends.postgresql.requests import EXCHANGE, exchange_columns
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.ids import Epoch, SessionId, new_invocation_id
from pynenc.model.records import Claim, Exchange, SessionInfo, SessionKind, Started, Submission, Success
from tests import stores
from tests.servers import url_of

_MINUTE_US = 60_000_000
_INFO = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1)


def settling(session: SessionId, claims: tuple[Claim, ...]) -> Exchange:
    """An exchange that ends all but the last of `claims`, which begins."""
    done = tuple(Success(invocation_id=each.invocation_id, epoch=each.epoch, result=b"") for each in claims[:-1])
    began = tuple(Started(each.invocation_id, each.epoch) for each in claims[-1:])
    return Exchange(session=session, completions=done, started=began, want=5)


def read_rows(connection: psycopg.Connection, schema: str, statement: str, arguments: list[object]) -> int:
    """Perform a statement; return how many index entries of the live table it read."""
    with connection.transaction():
        connection.execute(statement, arguments)
        row = connection.execute(
            "SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index WHERE indrelid = %s::regclass",
            (f"{schema}.live",),
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("owned", [20, 600])
def test_what_an_exchange_reads_does_not_grow_with_what_its_session_owns(owned: int, tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as (url, app_id):
        backend = open_backend(url, app_id=app_id)
        assert isinstance(backend, PostgresqlBackend)
        session = run(backend.orchestrator.open_session(_INFO, lease_us=_MINUTE_US))
        schema, statement = backend.database.location.schema, backend.database.statement(EXCHANGE)
        with psycopg.connect(url_of("postgresql"), autocommit=True) as admin:
            admin.execute(f"VACUUM ANALYZE {schema}.live")
        connection = backend.database.pools.take()
        nobody = Claim(
            invocation_id=new_invocation_id(),
            session=session,
            epoch=Epoch(1),
            attempt=1,
            crashes=0,
            task_id="t",
            arguments=b"",
            policy=b"",
            meta=b"",
            queue="default",
            rank=0,
            parent_id=None,
            root_id=new_invocation_id(),
        )
        # Whatever is planned is planned now.
        connection.execute(statement, [None, False, *exchange_columns(settling(session, (nobody, nobody)))])
        items = [Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"") for _ in range(owned + 50)]
        run(backend.orchestrator.submit(items))
        claims = run(backend.orchestrator.exchange(Exchange(session=session, want=owned))).claims

        read = read_rows(
            connection, schema, statement, [None, False, *exchange_columns(settling(session, claims[:10]))]
        )

        assert len(claims) == owned
        assert read < 100
        connection.close()
        backend.close()
