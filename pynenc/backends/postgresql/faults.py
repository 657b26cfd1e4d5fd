"""Errors of the client library and of the server as ours, each with what to do about it. Never with a password."""

from __future__ import annotations

import psycopg

from pynenc.errors import (
    ConfigurationError,
    PynencError,
    SessionGone,
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from pynenc.ports.transfer import overtaken, refusal

SESSION_GONE, NOT_PLAIN, SEALED, OVERTAKEN = "PN001", "PN002", "PN003", "PN004"
_AGAIN = ("40001", "40P01", "55P03", "55006")
"""Serialization failure, deadlock, lock not available, object in use: the transaction was undone."""
_GONE = ("08", "57P", "53300")
"""Connection lost, server going down or coming up, too many connections."""


class NotPlain(Exception):
    """The operation met something that takes the exclusive lock; nothing was done."""

    @property
    def is_gated(self) -> bool:
        """Whether that was a gate."""
        return str(self) == "gates"


def was_undone(error: psycopg.Error) -> bool:
    """Whether the server took everything back and another attempt may succeed."""
    return error.sqlstate in _AGAIN


def is_lost_connection(error: psycopg.Error) -> bool:
    """Whether the request may or may not have been done."""
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_GONE)
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return False
    text = str(error)
    return not (_is_refused(text) or _is_unsafe(text) or _is_unnamed(text))


def translate(error: psycopg.Error, place: str) -> PynencError | NotPlain:
    """Return the error to raise instead of `error`, which came from the server at `place`."""
    state = error.sqlstate or ""
    said = error.diag.message_primary or _essence(str(error))
    if state == NOT_PLAIN:
        return NotPlain(said)
    if state == SESSION_GONE:
        return SessionGone(f"session {said} has ended; what it owned belongs to others now")
    if state == SEALED:
        return refusal(said, place)
    if state == OVERTAKEN:
        return overtaken(place)
    if not state and _is_unsafe(str(error)):
        return ConfigurationError(
            f"no trusted connection to the server {place}: {_joined(str(error))}. Check sslmode and sslrootcert"
        )
    if not state and _is_unnamed(str(error)):
        return ConfigurationError(
            f"{_joined(str(error))}: check the service of the URL, PGSERVICEFILE and what is in it"
        )
    if state.startswith("28") or (not state and _is_refused(str(error))):
        return ConfigurationError(
            f"the server {place} refused the user: check user, password, database and SSL of the URL"
        )
    if state == "42501":
        return ConfigurationError(
            f"the user lacks a right on {place}: {said}. It needs CREATE on the database once, for `pynenc migrate`, "
            "and USAGE on the app's schemas with all rights on what is in them"
        )
    if state in ("53100", "54000") or state == "53200":
        return StoreFull(
            f"the server {place} has no space left: {said}. Nothing of this operation was written and nothing was "
            "lost; free some space and try again."
        )
    if state == "25006":
        return StoreReadOnly(
            f"the server {place} is a standby or read-only; name the primary (target_session_attrs=read-write)"
        )
    if state.startswith(("42P", "42883", "42703", "3F000", "XX", "42804")):
        return StoreCorrupted(
            f"what is in the store's schemas on {place} is not what Pynenc put there, or is damaged: {said}. Do not "
            "change them by hand; run `pynenc doctor`, restore a backup, or use another schema."
        )
    if was_undone(error) or is_lost_connection(error):
        return StoreUnavailable(f"the server {place} cannot be reached or does not answer: {_essence(str(error))}")
    return StoreError(f"the server {place} failed: {said}")


def _is_refused(text: str) -> bool:
    words = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry")
    return any(word in text for word in words)


def _is_unsafe(text: str) -> bool:
    return any(word in text for word in ("certificate", "does not support SSL", "private key file"))


def _is_unnamed(text: str) -> bool:
    """Whether the client library does not know the service it is to connect to."""
    return "definition of service" in text or "service file" in text


def _joined(text: str) -> str:
    return " ".join(text.split()).removeprefix("connection failed: ").rstrip(".")[:400]


def _essence(text: str) -> str:
    """Return the last line that is no hint: of several places that were tried, what the last one said."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("\t")]
    return lines[-1].removeprefix("connection failed: ")[:200] if lines else "connection closed"
