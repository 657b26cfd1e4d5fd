"""A task submitted inside the user's own transaction exists if and only if that commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pynenc import Pynenc
from pynenc.errors import ConfigurationError
from pynenc.io import run
from tests import stores

sqlalchemy = pytest.importorskip("sqlalchemy")
STORES = ("sqlite", "postgresql")


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    with stores.fresh_url(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def app(place: tuple[str, str]) -> Iterator[Pynenc]:
    made = Pynenc(place[0], app_id=place[1])
    yield made
    made.close()


@pytest.fixture
def task(app: Pynenc) -> Any:
    @app.task
    def double(number: int) -> int:
        return number * 2

    return double


def connect(url: str) -> Any:
    """Return a connection of the driver."""
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=5)
    return psycopg.connect(url)


def engine_of(url: str) -> Any:
    return sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def number_of(app: Pynenc) -> int:
    return run(app.backend.state_backend.count())


def test_it_exists_once_the_transaction_has_committed(app: Pynenc, task: Any, place: tuple[str, str]) -> None:
    connection = connect(place[0])
    with app.transaction(connection):
        one, two = task(1), task(2)
    assert number_of(app) == 0

    connection.commit()
    connection.close()

    assert number_of(app) == 2
    with app.running():
        assert (one.get(timeout=30), two.get(timeout=30)) == (2, 4)


def test_it_never_existed_if_the_transaction_is_rolled_back(app: Pynenc, task: Any, place: tuple[str, str]) -> None:
    connection = connect(place[0])
    with app.transaction(connection):
        task(1)
    connection.rollback()
    connection.close()

    assert number_of(app) == 0
    assert run(app.control.verify()) == []


def test_a_batch_and_the_users_rows_commit_together(app: Pynenc, task: Any, place: tuple[str, str]) -> None:
    connection = connect(place[0])
    number_of(app)
    connection.execute("CREATE TABLE orders (id integer)")
    with app.transaction(connection):
        connection.execute("INSERT INTO orders VALUES (1)")
        task.parallelize([(number,) for number in range(300)])
    connection.commit()
    assert connection.execute("SELECT count(*) FROM orders").fetchone()[0] == 1
    connection.execute("DROP TABLE orders")
    connection.commit()
    connection.close()

    assert number_of(app) == 300


@pytest.mark.parametrize("commits", [True, False])
def test_sqlalchemy_connections_and_sessions(app: Pynenc, task: Any, place: tuple[str, str], commits: bool) -> None:
    from sqlalchemy.orm import Session

    engine = engine_of(place[0])
    with engine.connect() as connection:
        with app.transaction(connection):
            task(1)
        connection.commit() if commits else connection.rollback()
    with Session(engine) as session:
        with app.transaction(session):
            task(2)
        session.commit() if commits else session.rollback()
    engine.dispose()

    assert number_of(app) == (2 if commits else 0)


@pytest.mark.parametrize("commits", [True, False])
def test_django_connections(app: Pynenc, task: Any, place: tuple[str, str], commits: bool) -> None:
    pytest.importorskip("django")
    connection = _django(place[0])
    from django.db import transaction

    try:
        with transaction.atomic(using=connection.alias), app.transaction(connection):
            task(1)
            if not commits:
                transaction.set_rollback(True, using=connection.alias)
    finally:
        connection.close()

    assert number_of(app) == (1 if commits else 0)


def _django(url: str) -> Any:
    """Return Django's connection to this database."""
    from urllib.parse import urlsplit

    from django.conf import settings
    from django.db import connections

    if not settings.configured:
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    parts = urlsplit(url)
    chosen: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
    if not url.startswith("sqlite"):
        chosen = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.strip("/"),
            "USER": parts.username,
            "PASSWORD": parts.password,
            "HOST": parts.hostname,
            "PORT": parts.port,
        }
    alias = f"users_{len(connections.databases)}"
    connections.databases[alias] = {**connections.databases["default"], **chosen}
    return connections[alias]


def test_asyncio_connections(tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as (url, app_id):
        app = Pynenc(url, app_id=app_id)

        @app.task
        async def double(number: int) -> int:
            return number * 2

        async def submit(commits: bool) -> None:
            connection = await psycopg.AsyncConnection.connect(url)
            with app.transaction(connection):
                await double.acall(1)
            await (connection.commit() if commits else connection.rollback())
            await connection.close()

        asyncio.run(submit(False))
        assert number_of(app) == 0
        asyncio.run(submit(True))
        assert number_of(app) == 1
        app.close()


def test_another_database_is_refused(app: Pynenc, task: Any, place: tuple[str, str], tmp_path: Path) -> None:
    if place[0].startswith("sqlite"):
        other: Any = sqlite3.connect(tmp_path / "other.db")
    else:
        other = psycopg.connect(place[0], dbname="postgres")

    with pytest.raises(ConfigurationError, match="another"), app.transaction(other):
        task(1)

    other.close()
    assert number_of(app) == 0


def test_what_needs_more_than_the_transaction_is_refused(tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as (url, app_id):
        app = Pynenc(url, app_id=app_id)

        @app.task(idempotency_key="one")
        def keyed() -> None: ...

        with psycopg.connect(url) as connection, app.transaction(connection):
            with pytest.raises(ConfigurationError, match="outside"):
                keyed()
            assert connection.execute("SELECT 1").fetchone() == (1,)
        app.close()


def test_a_store_without_transactions_says_so() -> None:
    app = Pynenc("memory://")

    with pytest.raises(ConfigurationError, match="no transactions"), app.transaction(object()):
        pass
