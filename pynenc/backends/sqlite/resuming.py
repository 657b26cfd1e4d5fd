"""Resumable invocations that wait before a gate, or for which a unit of one is kept. Written at once: there are few."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from pynenc.backends.sqlite.gate_rows import Lenders, decode_lenders, encode_lenders
from pynenc.model.ids import InvocationId


class ResumeToken(NamedTuple):
    """Where the token of a resumable invocation is."""

    parked: str | None
    """The gate before which it waits."""
    trial: str | None
    """The gate of which a unit is kept for it."""
    lenders: Lenders
    """Parked: on whose units it could go on."""


class Resuming:
    """The rows of `resuming`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._any: bool | None = None

    def is_empty(self) -> bool:
        """Return whether there is none."""
        if self._any is None:
            self._any = self._connection.execute("SELECT 1 FROM resuming LIMIT 1").fetchone() is not None
        return not self._any

    def known(self, invocation_id: InvocationId) -> ResumeToken | None:
        """Return where its token is; None: where its owner finds it, with nothing kept for it."""
        if self.is_empty():
            return None
        found = self._connection.execute("SELECT parked, trial, lenders FROM resuming WHERE id = ?", (invocation_id,))
        row = found.fetchone()
        return None if row is None else ResumeToken(row[0], row[1], decode_lenders(row[2]))

    def first(self, gate: str) -> InvocationId | None:
        """Return the one before a gate that is let out first."""
        if self.is_empty():
            return None
        row = self._connection.execute(
            "SELECT id FROM resuming WHERE parked = ? ORDER BY rank, id LIMIT 1", (gate,)
        ).fetchone()
        return None if row is None else row[0]

    def trying(self, gate: str) -> int:
        """Return for how many a unit of a gate is kept."""
        if self.is_empty():
            return 0
        number: int = self._connection.execute("SELECT count(*) FROM resuming WHERE trial = ?", (gate,)).fetchone()[0]
        return number

    def kept_for_others(self, gate: str, invocation_id: InvocationId | None) -> int:
        """Return how many units are kept for resumable invocations other than this one."""
        trying = self.trying(gate)
        if not trying or invocation_id is None:
            return trying
        known = self.known(invocation_id)
        return trying - (known is not None and known.trial == gate)

    def park(self, invocation_id: InvocationId, rank: int, gate: str, lenders: Lenders) -> None:
        """Let one wait before a gate; what is kept for it stays kept."""
        self._any = True
        self._connection.execute(
            "INSERT INTO resuming (id, rank, parked, lenders) VALUES (?,?,?,?) "
            "ON CONFLICT (id) DO UPDATE SET parked = excluded.parked, lenders = excluded.lenders",
            (invocation_id, rank, gate, encode_lenders(lenders)),
        )

    def unpark(self, invocation_id: InvocationId) -> None:
        """Let one wait no more."""
        self._connection.execute("UPDATE resuming SET parked = NULL, lenders = NULL WHERE id = ?", (invocation_id,))
        self._drop_empty(invocation_id)

    def try_gate(self, invocation_id: InvocationId, rank: int, gate: str | None) -> None:
        """Keep a unit of a gate for one that waits no more."""
        if gate is not None:
            self._any = True
            self._connection.execute(
                "INSERT OR REPLACE INTO resuming (id, rank, trial) VALUES (?,?,?)", (invocation_id, rank, gate)
            )

    def end_trial(self, invocation_id: InvocationId) -> str | None:
        """Keep nothing for one any more; return the gate of which something was."""
        known = self.known(invocation_id)
        if known is None or known.trial is None:
            return None
        self._connection.execute("UPDATE resuming SET trial = NULL WHERE id = ?", (invocation_id,))
        self._drop_empty(invocation_id)
        return known.trial

    def _drop_empty(self, invocation_id: InvocationId) -> None:
        self._connection.execute(
            "DELETE FROM resuming WHERE id = ? AND parked IS NULL AND trial IS NULL", (invocation_id,)
        )
