"""The connection of the database's driver inside what users work with: SQLAlchemy, Django, or the driver itself.

Nothing is imported that the user has not: objects are known by what they offer.
"""

from __future__ import annotations

import inspect
from typing import Any

from pynenc.errors import ConfigurationError


def driver_connection(given: Any) -> Any:
    """Return the driver's connection in `given`: a SQLAlchemy Session or Connection, a Django connection, or itself."""
    if hasattr(given, "sync_session") or hasattr(given, "sync_connection"):
        raise ConfigurationError("this is an asynchronous session: submit with `await task.submit(...)` inside")
    if hasattr(given, "get_bind") and callable(getattr(given, "connection", None)):
        given = given.connection()
    if hasattr(given, "exec_driver_sql"):
        if not given.in_transaction():
            # What it does not know to have begun, it would not commit.
            given.begin()
        given = given.connection.driver_connection
    if hasattr(given, "ensure_connection"):
        given.ensure_connection()
        given = given.connection
    return given


async def async_driver_connection(given: Any) -> Any:
    """Return the driver's connection in `given`: a SQLAlchemy AsyncSession or AsyncConnection, or itself."""
    if hasattr(given, "sync_session"):
        given = await given.connection()
    if hasattr(given, "get_raw_connection"):
        if not given.in_transaction():
            await given.begin()
        raw = given.get_raw_connection()
        given = (await raw if inspect.isawaitable(raw) else raw).driver_connection
    return given
