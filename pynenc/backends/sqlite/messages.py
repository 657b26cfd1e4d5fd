"""Inboxes: what sessions are told with their next exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pynenc.backends.sqlite.rows import OUTCOME_COLUMNS, outcome_of, select_in
from pynenc.backends.sqlite.unit import CANCEL_NOTICE, FINISHED_NOTICE, Unit
from pynenc.model.ids import InvocationId
from pynenc.model.records import CancelNotice, FinishedNotice, Message, Outcome

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Outcome)

_JOINED = ", ".join(f"o.{column.strip()}" for column in OUTCOME_COLUMNS.split(","))
_INBOX = (
    f"SELECT i.kind, i.id, i.epoch, i.detail, i.body, {_JOINED} FROM inbox i LEFT JOIN outcome o ON o.id = i.id "
    "WHERE i.session = ? ORDER BY i.position"
)


def read_inbox(connection: Any, session: int) -> list[Message]:
    """Return the messages of a session, oldest first."""
    return [_message(row) for row in connection.execute(_INBOX, (session,))]


def fetch_inbox(unit: Unit, session: int) -> tuple[Message, ...]:
    """Return and remove the messages of a session."""
    unit.flush()
    unit.deliver()
    messages = read_inbox(unit.connection, session)
    if messages:
        unit.connection.execute("DELETE FROM inbox WHERE session = ?", (session,))
    return tuple(messages)


def _message(row: tuple[Any, ...]) -> Message:
    if row[0] == CANCEL_NOTICE:
        return CancelNotice(invocation_id=row[1], epoch=row[2], detail=row[3])
    return FinishedNotice(outcome=outcome_of(row[5:]) if row[4] is None else _decoder.decode(row[4]))


def keep_outcomes(unit: Unit, ids: Sequence[InvocationId]) -> None:
    """Copy outcomes that are about to go into the messages that tell of them."""
    connection = unit.connection
    pending = {
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT id FROM inbox WHERE kind = ? AND body IS NULL", (FINISHED_NOTICE,)
        )
    }
    going = [each for each in ids if each in pending]
    if going:
        rows = select_in(connection, f"SELECT {OUTCOME_COLUMNS} FROM outcome WHERE id IN (*)", list(going))
        connection.executemany(
            "UPDATE inbox SET body = ? WHERE id = ? AND kind = ? AND body IS NULL",
            [(_encoder.encode(outcome_of(row)), row[0], FINISHED_NOTICE) for row in rows],
        )
