"""Submissions on a connection of the user's own, in whatever transaction is open there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from pynenc.backends.driver_connections import async_driver_connection, driver_connection
from pynenc.backends.postgresql.arrays import register
from pynenc.backends.postgresql.database import Database
from pynenc.backends.postgresql.faults import SEALED, translate
from pynenc.backends.postgresql.requests import SUBMIT_WITHIN, gate_columns, submission_columns
from pynenc.errors import ConfigurationError
from pynenc.io import run
from pynenc.model.records import Submission, SubmitReply, SubmitVerdict
from pynenc.ports.transaction import Transaction

_KINDS = "a psycopg connection, a SQLAlchemy session or connection of postgresql+psycopg, or a Django connection"


class PostgresqlTransaction(Transaction):
    """A transaction on a connection to the database that the store is in."""

    def __init__(self, database: Database, given: Any) -> None:
        # The schemas have to be there before the user's transaction needs them.
        run(database.query("SELECT 1"))
        self._database = database
        self._given = given
        self._is_checked = False

    def submit(self, items: Sequence[Submission]) -> list[SubmitReply]:
        refuse_what_needs_more(items)
        connection = driver_connection(self._given)
        if not isinstance(connection, psycopg.Connection):
            raise ConfigurationError(
                f"submitting inside a transaction takes {_KINDS}, not {type(self._given).__name__}"
            )
        # A cursor of our own: theirs may make dictionaries, or put values into the statement by itself.
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            if not self._is_checked:
                self._check(cursor.execute(*self._question()).fetchone())
            register(cursor.adapters)
            statement, arguments = self._statement(items)
            with self._own_refusals():
                return _replies(items, cursor.execute(statement, arguments, binary=True).fetchall())

    async def asubmit(self, items: Sequence[Submission]) -> list[SubmitReply]:
        refuse_what_needs_more(items)
        connection = await async_driver_connection(self._given)
        if not isinstance(connection, psycopg.AsyncConnection):
            return self.submit(items)
        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            if not self._is_checked:
                await cursor.execute(*self._question())
                self._check(await cursor.fetchone())
            register(cursor.adapters)
            statement, arguments = self._statement(items)
            with self._own_refusals():
                await cursor.execute(statement, arguments, binary=True)
                return _replies(items, await cursor.fetchall())

    def left(self) -> None:
        """Nothing to do: the server notifies whoever listens when it commits."""

    def _statement(self, items: Sequence[Submission]) -> tuple[str, list[Any]]:
        columns = [*submission_columns(items), *gate_columns(items)]
        return self._database.statement(SUBMIT_WITHIN), [None, *columns]

    @contextmanager
    def _own_refusals(self) -> Iterator[None]:
        """Raise what the store refuses as ours; everything else is between the user and the server."""
        try:
            yield
        except psycopg.Error as error:
            if error.sqlstate == SEALED:
                raise translate(error, self._database.location.public_url) from None
            raise

    def _question(self) -> tuple[str, tuple[str]]:
        return "SELECT to_regnamespace(%s) IS NOT NULL", (self._database.api,)

    def _check(self, row: tuple[Any, ...] | None) -> None:
        if row is None or not row[0]:
            raise ConfigurationError(
                f"the connection is to another database than the store {self._database.location.public_url}: "
                f"there is no schema {self._database.location.schema}. Submitting inside a transaction needs one"
            )
        self._is_checked = True


def refuse_what_needs_more(items: Sequence[Submission]) -> None:
    """Refuse submissions that a transaction of somebody else cannot decide.

    Raises:
        ConfigurationError: an item comes after others, has a key, or is submitted by a run.
    """
    for item in items:
        if item.after or item.dedupe is not None:
            raise ConfigurationError(
                f"task {item.task_id} comes after others or has an idempotency key or cached result: submit it outside "
                "the transaction"
            )


def _replies(items: Sequence[Submission], rows: Sequence[tuple[Any, ...]]) -> list[SubmitReply]:
    created = {row[0] for row in rows}
    return [
        SubmitReply(
            SubmitVerdict.CREATED if item.invocation_id in created else SubmitVerdict.EXISTING, item.invocation_id
        )
        for item in items
    ]
