"""A program that takes orders: each is a row of its own table and a task, written in one transaction.

    python -m tests.faults.ordering URL APP_ID LOG

Every third transaction is rolled back; the number of each committed one goes to the log afterwards. It ends when
somebody kills it, or when the server goes away.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Any

import psycopg

from pynenc import Pynenc
from tests.faults import liveness_app

TABLE = "CREATE TABLE IF NOT EXISTS orders (number bigint PRIMARY KEY)"


def connect(url: str) -> Any:
    """Return a connection of the driver to the database of a store."""
    place = url.partition("?")[0]
    if place.startswith("sqlite"):
        return sqlite3.connect(place.removeprefix("sqlite:///"), timeout=30)
    return psycopg.connect(place)


def main(url: str, app_id: str, log: str) -> None:
    app = Pynenc(url, app_id=app_id)
    deliver = app.task(liveness_app.double.func)
    connection = connect(url)
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    # Numbers of this process alone.
    number = os.getpid() * 1_000_000
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        number += 1
        connection.execute(f"INSERT INTO orders VALUES ({mark})", (number,))
        with app.transaction(connection):
            deliver(number)
        if number % 3 == 0:
            connection.rollback()
            continue
        connection.commit()
        os.write(descriptor, f"{number}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
