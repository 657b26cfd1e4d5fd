"""Who is inside gates, and what else is known of them: read as needed, written with the unit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from pynenc.backends.sqlite.gate_rows import decode_setting, encode_setting
from pynenc.backends.sqlite.rows import select_in, select_in_pairs, split_ids
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId

_MOST_IDLE = 4
"""So many arrival times that have passed go with each unit that writes some."""

# A list of pairs behind IN would be a scan.
_UNITS = (
    "SELECT gate, id, since, lenders, most FROM (VALUES (*)) AS wanted CROSS JOIN holder "
    "ON gate = wanted.column1 AND id = wanted.column2"
)


class HeldUnit(NamedTuple):
    """A place inside a gate, held by an invocation."""

    since: int
    lenders: tuple[InvocationId, ...]
    """Who gets it back: the first of them that still waits."""
    limit: int
    """The limit that was in force when it was taken."""


class Breaker(NamedTuple):
    """What is known of a task that fails."""

    failures: int
    open_since: int | None
    open_until: int | None


class Holders:
    """Units of gates, and who has them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}
        self._ahead: dict[str, int] = {}
        """How many more are inside than the file says."""
        self._units: dict[tuple[str, InvocationId], HeldUnit | None] = {}
        self._changed: dict[tuple[str, InvocationId], None] = {}

    def load(self, keys: Iterable[tuple[str, InvocationId]]) -> None:
        """Read the units that these invocations have of these gates at once."""
        wanted = [key for key in keys if key not in self._units]
        self._units.update(dict.fromkeys(wanted))
        for gate, each, since, lenders, most in select_in_pairs(self._connection, _UNITS, wanted):
            self._units[gate, each] = HeldUnit(since, split_ids(lenders), most)

    def number(self, gate: str) -> int:
        """Return how many are inside."""
        if gate not in self._numbers:
            self.load_numbers((gate,))
        return self._numbers[gate] + self._ahead.get(gate, 0)

    def load_numbers(self, gates: Iterable[str]) -> None:
        """Read how many are inside of each at once."""
        wanted = [gate for gate in dict.fromkeys(gates) if gate not in self._numbers]
        self._numbers.update(dict.fromkeys(wanted, 0))
        statement = "SELECT gate, count(id) FROM holder WHERE gate IN (*) GROUP BY gate"
        self._numbers.update(select_in(self._connection, statement, wanted))

    def unit(self, gate: str, invocation_id: InvocationId) -> HeldUnit | None:
        """Return the unit that an invocation has."""
        key = (gate, invocation_id)
        if key in self._units:
            return self._units[key]
        row = self._connection.execute(
            "SELECT since, lenders, most FROM holder WHERE gate = ? AND id = ?", key
        ).fetchone()
        unit = self._units[key] = None if row is None else HeldUnit(row[0], split_ids(row[1]), row[2])
        return unit

    def take(self, gate: str, invocation_id: InvocationId, unit: HeldUnit) -> None:
        """Let one in that is not inside."""
        self._ahead[gate] = self._ahead.get(gate, 0) + 1
        self._units[gate, invocation_id] = unit
        self._changed[gate, invocation_id] = None

    def give(self, gate: str, invocation_id: InvocationId) -> HeldUnit | None:
        """Let one out; return the unit it had."""
        unit = self.unit(gate, invocation_id)
        if unit is not None:
            self._ahead[gate] = self._ahead.get(gate, 0) - 1
            self._units[gate, invocation_id] = None
            self._changed[gate, invocation_id] = None
        return unit

    def flush(self) -> None:
        """Write what was changed."""
        changed, self._changed = self._changed, {}
        ahead, self._ahead = self._ahead, {}
        for gate, more in ahead.items():
            if gate in self._numbers:
                self._numbers[gate] += more
        units = {key: self._units[key] for key in changed}
        self._connection.executemany(
            "DELETE FROM holder WHERE gate = ? AND id = ?", [key for key, unit in units.items() if unit is None]
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO holder (gate, id, since, lenders, most) VALUES (?,?,?,?,?)",
            [(*key, unit.since, b"".join(unit.lenders), unit.limit) for key, unit in units.items() if unit is not None],
        )


class Times:
    """Theoretical arrival times of rate gates."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection = connection
        self._now = now
        self._known: dict[str, int] = {}
        self._changed: set[str] = set()

    def arrival(self, gate: str) -> int:
        """Return when the next start would be on time, 0 if nothing passed lately."""
        arrival = self._known.get(gate)
        if arrival is None:
            row = self._connection.execute("SELECT arrival FROM rate WHERE gate = ?", (gate,)).fetchone()
            arrival = self._known[gate] = 0 if row is None else row[0]
        return arrival

    def put(self, gate: str, arrival: int) -> None:
        self._known[gate] = arrival
        self._changed.add(gate)

    def flush(self) -> None:
        """Write what was changed, and forget a few that say nothing any more."""
        changed, self._changed = self._changed, set()
        if not changed:
            return
        self._connection.executemany(
            "INSERT OR REPLACE INTO rate (gate, arrival) VALUES (?,?)", [(gate, self._known[gate]) for gate in changed]
        )
        self._connection.execute(
            "DELETE FROM rate WHERE gate IN (SELECT gate FROM rate WHERE arrival <= ? ORDER BY arrival LIMIT ?)",
            (self._now, _MOST_IDLE),
        )


class Breakers:
    """Breakers that are not at rest."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, Breaker | None] = {}

    def state(self, gate: str) -> Breaker | None:
        """Return what is known of one; None: it is at rest."""
        if gate not in self._known:
            row = self._connection.execute(
                "SELECT failures, open_since, open_until FROM breaker WHERE gate = ?", (gate,)
            ).fetchone()
            self._known[gate] = None if row is None else Breaker(*row)
        return self._known[gate]

    def put(self, gate: str, state: Breaker) -> None:
        self._known[gate] = state
        self._connection.execute(
            "INSERT OR REPLACE INTO breaker (gate, failures, open_since, open_until) VALUES (?,?,?,?)", (gate, *state)
        )

    def rest(self, gate: str) -> None:
        """Forget that it ever failed."""
        if self.state(gate) is not None:
            self._known[gate] = None
            self._connection.execute("DELETE FROM breaker WHERE gate = ?", (gate,))


class Settings:
    """What was set live."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, GateSetting | None] = {}
        self._any: bool | None = None

    def get(self, name: str) -> GateSetting | None:
        """Return what was set for a gate or flow."""
        if self._any is None:
            self._any = self._connection.execute("SELECT 1 FROM gate_setting LIMIT 1").fetchone() is not None
        if not self._any:
            return None
        if name not in self._known:
            row = self._connection.execute("SELECT body FROM gate_setting WHERE name = ?", (name,)).fetchone()
            self._known[name] = None if row is None else decode_setting(row[0])
        return self._known[name]

    def put(self, setting: GateSetting) -> None:
        self._any, self._known[setting.name] = True, setting
        self._connection.execute(
            "INSERT OR REPLACE INTO gate_setting (name, body) VALUES (?,?)", (setting.name, encode_setting(setting))
        )

    def clear(self, name: str) -> bool:
        """Let submissions decide again; return whether there was a setting."""
        self._known.pop(name, None)
        return self._connection.execute("DELETE FROM gate_setting WHERE name = ?", (name,)).rowcount > 0


def every_setting(connection: sqlite3.Connection) -> list[GateSetting]:
    """Return every setting, by name."""
    return [decode_setting(body) for (body,) in connection.execute("SELECT body FROM gate_setting ORDER BY name")]
