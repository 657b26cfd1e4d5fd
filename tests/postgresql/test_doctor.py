"""What `pynenc doctor` says of a server that keeps dead rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pynenc.backends.postgresql import diagnosing
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.ports.backend import Finding
from tests.servers import PostgresServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path, settings={"autovacuum": "off", "max_prepared_transactions": "2"}) as running:
        yield running


def findings_of(server: PostgresServer) -> list[Finding]:
    backend = open_backend(server.url)
    try:
        return run(backend.diagnose())
    finally:
        backend.close()


def test_what_keeps_dead_rows_in_the_tables_is_named(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if whatever is open had been open for long.
    monkeypatch.setattr(diagnosing, "_OLD_TRANSACTION_S", -1)
    with psycopg.connect(server.url, autocommit=True) as open_one, psycopg.connect(server.url) as prepared:
        open_one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        open_one.execute("SELECT 1")
        prepared.execute("CREATE TABLE mine (id integer)")
        prepared.execute("PREPARE TRANSACTION 'forgotten'")

        found = findings_of(server)

        warnings = [each for each in found if each.level == "warning"]
        assert [each.subject for each in warnings] == ["transactions", "transactions", "autovacuum"]
        assert "prepared transaction" in warnings[1].detail
        assert "turn both on" in warnings[2].remedy
