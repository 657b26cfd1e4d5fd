"""The numbers of queues, remembered by each process."""

from __future__ import annotations

import sqlite3


class QueueNames:
    """Translates between names and numbers. Numbers never change, so what was committed stays true."""

    __slots__ = ("_gated", "_names", "_numbers", "_used")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._used: set[str] = set()
        self._gated: set[int] = set()

    def forget(self) -> None:
        """Drop everything: what was learned in a unit that was rolled back may be wrong."""
        self._numbers.clear()
        self._names.clear()
        self._used.clear()
        self._gated.clear()

    def number(self, connection: sqlite3.Connection, name: str, *, used: bool = False) -> int:
        """Return the number of a queue, giving it one if it has none yet.

        Args:
            used: note that something was submitted to it.
        """
        if name not in self._numbers or (used and name not in self._used):
            self._register(connection, name, used)
        return self._numbers[name]

    def _register(self, connection: sqlite3.Connection, name: str, used: bool) -> None:
        row = connection.execute("SELECT id, used FROM queue WHERE name = ?", (name,)).fetchone()
        if row is None:
            row = connection.execute(
                "INSERT INTO queue (name, used) VALUES (?, ?) RETURNING id, used", (name, int(used))
            ).fetchone()
        elif used and not row[1]:
            connection.execute("UPDATE queue SET used = 1 WHERE id = ?", (row[0],))
        if used:
            self._used.add(name)
        self._numbers[name] = row[0]
        self._names[row[0]] = name

    def note_gated(self, connection: sqlite3.Connection, number: int) -> None:
        """Note that a queue has lanes."""
        if number not in self._gated:
            connection.execute("UPDATE queue SET gated = 1 WHERE id = ? AND gated = 0", (number,))
            self._gated.add(number)

    def name(self, connection: sqlite3.Connection, number: int) -> str:
        """Return the name of a queue that has a number."""
        known = self._names.get(number)
        if known is None:
            known = self._names[number] = connection.execute(
                "SELECT name FROM queue WHERE id = ?", (number,)
            ).fetchone()[0]
        return known
