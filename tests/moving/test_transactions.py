"""Submissions inside transactions of users, while and after a store is moved."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pynenc import Pynenc
from pynenc.backends.memory import MemoryBackend
from pynenc.core.moving import Move
from pynenc.errors import StoreError, StoreSealed
from pynenc.io import run
from tests import stores
from tests.moving.words import invocations

pytestmark = pytest.mark.timeout(120)


class Place:
    """An app, its task, and connections of its user."""

    def __init__(self, url: str, app_id: str) -> None:
        self.url = url
        patience = "?busy_timeout_s=0.2" if url.startswith("sqlite") else ""
        self.app = Pynenc(url + patience, app_id=app_id)
        self.task = self.app.task(double)
        self.target = MemoryBackend()

    def connect(self) -> Any:
        if self.url.startswith("sqlite"):
            return sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=0.2)
        return psycopg.connect(self.url)

    def move(self) -> None:
        Move(self.app.backend, self.target).carry()


def double(number: int) -> int:
    return number * 2


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with stores.fresh_url(request.param, tmp_path) as (url, app_id):
        place = Place(url, app_id)
        run(place.app.backend.client_data_store.put(b"k" * 32, b"something to move"))
        yield place
        place.app.close()


def test_a_transaction_that_comes_after_the_move_is_refused(place: Place) -> None:
    connection = place.connect()
    with place.app.transaction(connection):
        place.task(1)
        connection.commit()
        place.move()

        with pytest.raises(StoreSealed, match="moved to memory://"):
            place.task(2)

    connection.rollback()
    connection.close()
    assert len(invocations(place.target)) == 1


def test_an_open_transaction_that_has_submitted_stops_the_move(place: Place) -> None:
    connection = place.connect()
    with place.app.transaction(connection):
        place.task(1)

    with pytest.raises(StoreError, match=r"transaction that writes|other processes wrote|locked"):
        place.move()
    connection.commit()
    connection.close()

    place.move()
    assert len(invocations(place.target)) == 1


def test_a_transaction_that_sees_an_older_state_is_refused_as_well(tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as found:
        place = Place(*found)
        run(place.app.backend.client_data_store.put(b"k" * 32, b""))
        connection = psycopg.connect(place.url)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        place.move()

        with pytest.raises(StoreSealed), place.app.transaction(connection):
            place.task(1)

        connection.rollback()
        connection.close()
        place.app.close()


def test_functions_of_an_older_release_are_refused_by_the_tables(tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as found:
        place = Place(*found)
        schema = f"pynenc_{found[1]}"
        run(place.app.backend.client_data_store.put(b"k" * 32, b""))
        place.move()

        with psycopg.connect(place.url, autocommit=True) as connection:
            for table in ("call", "live", "outcome", "session", "queue", "data"):
                with pytest.raises(psycopg.Error, match="moved") as caught:
                    connection.execute(f"DELETE FROM {schema}.{table}")
                assert caught.value.sqlstate == "PN003"

        place.app.close()
