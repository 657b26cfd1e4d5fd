"""Calls of the functions in the database, for threads and for event loops, and what is done when it does not answer.

Each call is one statement and so one transaction. The server undid it (a deadlock), it was not sent, or it may have
happened (the connection broke after it was sent): the first two are tried again within the budget of the call, the last
only if repeating it changes nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import psycopg

from pynenc.backends.postgresql.connecting import BoundedConnection, Pools, answered_within
from pynenc.backends.postgresql.faults import is_lost_connection, translate, was_undone
from pynenc.backends.postgresql.location import Location
from pynenc.backends.postgresql.migrating import Steps, api_schema, ensure, finish
from pynenc.io import Op, Whole
from pynenc.ports.backend import ClockUs

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0

Rows = list[tuple[Any, ...]]


class Database:
    """The functions of one app's store. Opens nothing before the first call."""

    def __init__(self, location: Location, clock: ClockUs | None) -> None:
        self.location = location
        self.pools = Pools(location)
        self.api = api_schema(location.schema)
        self._clock = clock
        self._statements: dict[str, str] = {}
        self.is_ready = False
        """Whether this process has seen the schemas complete."""

    def call(self, function: str, *arguments: Any, repeatable: bool = True) -> Op[Rows]:
        """Return the rows of a function; its first parameter, the time of tests, is passed here.

        Args:
            function: name, with the types of its arguments where they are not plain: `outcomes(bytea[])`.
            repeatable: whether it may be sent again after a lost reply.

        Raises:
            StoreUnavailable: no answer within the budget; it may or may not have happened.
            StoreError: whatever the server said.
            NotPlain: it has to be sent as an exclusive one.
        """
        now = None if self._clock is None else self._clock()
        rows: Rows = yield Call(self, self.statement(function), (now, *arguments), repeatable)
        return rows

    def query(self, statement: str, *arguments: Any) -> Op[Rows]:
        """Return the rows of a statement that only reads."""
        rows: Rows = yield Call(self, statement, arguments, True)
        return rows

    def migrate(self, *, post: bool) -> Op[list[str]]:
        """Bring the schemas up to date; return what was done."""
        done: list[str] = yield Migration(self, post)
        return done

    def statement(self, function: str) -> str:
        """Return the statement that calls a function."""
        known = self._statements.get(function)
        if known is not None:
            return known
        name, _, types = function.partition("(")
        casts = [each.strip() for each in types.rstrip(")").split(",") if each.strip()]
        arguments = ", ".join(f"%s::{cast}" for cast in ("bigint", *casts))
        return self._statements.setdefault(function, f"SELECT * FROM {self.api}.{name}({arguments})")

    def close(self) -> None:
        self.pools.close()


class Call(Whole):
    """One statement."""

    __slots__ = ("_arguments", "_database", "_repeatable", "_statement")

    def __init__(self, database: Database, statement: str, arguments: tuple[Any, ...], repeatable: bool) -> None:
        self._database = database
        self._statement = statement
        self._arguments = arguments
        self._repeatable = repeatable

    def send(self) -> Rows:
        patience = Patience(self._database.location, self._repeatable)
        while True:
            try:
                return self._perform(patience)
            except psycopg.Error as error:
                time.sleep(patience.pause_after(error))

    async def asend(self) -> Rows:
        patience = Patience(self._database.location, self._repeatable)
        while True:
            try:
                # The budget begins once it is this call's turn, however many coroutines come before it.
                async with self._database.pools.loop_slots():
                    patience.begin()
                    return await self._aperform(patience)
            except psycopg.Error as error:
                await asyncio.sleep(patience.pause_after(error))

    def _perform(self, patience: Patience) -> Rows:
        patience.sent = False
        connection = self._database.pools.take()
        try:
            if not self._database.is_ready:
                perform_steps(connection, ensure(self._database.location.schema))
                self._database.is_ready = True
            patience.sent = True
            return connection.execute(self._statement, self._arguments, binary=True).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None or connection.closed:
                self._database.pools.drop_idle()
            if error.sqlstate is None or connection.closed or not self._database.is_ready:
                connection.close()
            raise
        except BaseException:
            connection.close()
            raise
        finally:
            self._database.pools.give(connection)

    async def _aperform(self, patience: Patience) -> Rows:
        patience.sent = False
        connection = await self._database.pools.atake()
        try:
            with answered_within(self._database.location.call_timeout_s, connection):
                if not self._database.is_ready:
                    await aperform_steps(connection, ensure(self._database.location.schema))
                    self._database.is_ready = True
                patience.sent = True
                return await (await connection.execute(self._statement, self._arguments, binary=True)).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None or connection.closed:
                await self._database.pools.adrop_idle()
            if error.sqlstate is None or connection.closed or not self._database.is_ready:
                await connection.close()
            raise
        except asyncio.CancelledError:
            # Its caller may have given it up because the connection fell silent, and others with it.
            await connection.close()
            await self._database.pools.adrop_idle()
            raise
        except BaseException:
            await connection.close()
            raise
        finally:
            await self._database.pools.agive(connection)


class Migration(Whole):
    """The steps of `migrating` on a connection of their own."""

    __slots__ = ("_database", "_post")

    def __init__(self, database: Database, post: bool) -> None:
        self._database = database
        self._post = post

    def _steps(self) -> Steps:
        return (finish if self._post else ensure)(self._database.location.schema)

    def send(self) -> list[str]:
        try:
            connection = self._database.pools.connect()
            try:
                return perform_steps(connection, self._steps()) or []
            finally:
                connection.close()
        except psycopg.Error as error:
            raise translate(error, self._database.location.public_url) from None

    async def asend(self) -> list[str]:
        return await asyncio.to_thread(self.send)


class Patience:
    """How long one call goes on trying."""

    def __init__(self, location: Location, repeatable: bool) -> None:
        self._location = location
        self._repeatable = repeatable
        self._until = time.monotonic() + location.call_timeout_s
        self._pause_s = _FIRST_PAUSE_S
        self._began = False
        self.sent = False
        """Whether the server may have got the statement of this attempt."""

    def begin(self) -> None:
        """Let the budget begin with the first attempt."""
        if not self._began:
            self._began = True
            self._until = time.monotonic() + self._location.call_timeout_s

    def pause_after(self, error: psycopg.Error) -> float:
        """Return how long to wait before the next attempt.

        Raises:
            PynencError: there is to be none.
        """
        again = was_undone(error) or (is_lost_connection(error) and (self._repeatable or not self.sent))
        pause_s = self._pause_s * random.uniform(0.5, 1.0)
        if not again or time.monotonic() + pause_s > self._until:
            raise translate(error, self._location.public_url) from None
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
        return pause_s


def perform_steps(connection: BoundedConnection, steps: Steps) -> Any:
    """Perform statements one after the other; return what the steps return."""
    rows: Any = None
    try:
        while True:
            statement, arguments = steps.send(rows)
            cursor = connection.execute(statement, arguments or None)
            rows = cursor.fetchall() if cursor.description else []
    except StopIteration as finished:
        return finished.value


async def aperform_steps(connection: psycopg.AsyncConnection[Any], steps: Steps) -> Any:
    """Perform statements one after the other on an event loop; return what the steps return."""
    rows: Any = None
    try:
        while True:
            statement, arguments = steps.send(rows)
            cursor = await connection.execute(statement, arguments or None)
            rows = await cursor.fetchall() if cursor.description else []
    except StopIteration as finished:
        return finished.value
