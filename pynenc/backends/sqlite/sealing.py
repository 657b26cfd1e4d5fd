"""The mark of a file whose content is being moved, or was."""

from __future__ import annotations

from typing import Any

from pynenc.ports.transfer import Seal, overtaken, refusal


def kept_seal(connection: Any) -> str:
    """Return the text of the seal, "" if there is none."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'sealed'").fetchone()
    return row[0] if row else ""


def refuse_if_sealed(connection: Any, place: str) -> None:
    """Do nothing in an open store.

    Raises:
        StoreSealed: it takes part in a move.
    """
    text = kept_seal(connection)
    if text:
        raise refusal(text, place)


def require_seal(connection: Any, mark: Seal, place: str) -> None:
    """Do nothing in a store under this seal.

    Raises:
        StoreError: it is not there.
    """
    if kept_seal(connection) != mark.text:
        raise overtaken(place)
