"""Errors of the client library and of the server as ours, each with what to do about it. Never with a password."""

from __future__ import annotations

import re

from redis import exceptions

from pynenc.errors import (
    ConfigurationError,
    PynencError,
    SchemaTooNew,
    SessionGone,
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from pynenc.ports.transfer import overtaken, refusal


class GatesInUse(StoreError):
    """The app has gates: the build of the script that knows of them is needed. Nothing was done."""


_OURS = re.compile(r"PYNENC (\w+) ([^;]*);")
_LATER = ("LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY ", "NOREPLICAS", "UNBLOCKED")
"""Replies after which nothing was done and another attempt may succeed."""
_RIGHTS = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "no password is set", "without any password")


def is_refused_for_now(error: Exception) -> bool:
    """Whether the server did nothing, but may do it soon."""
    if isinstance(error, (exceptions.BusyLoadingError, exceptions.ReadOnlyError, exceptions.ClusterDownError)):
        return True
    return isinstance(error, exceptions.ResponseError) and any(word in str(error) for word in _LATER)


def is_lost_connection(error: Exception) -> bool:
    """Whether the request may or may not have been done."""
    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)):
        return False
    return isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError, EOFError))


def translate(error: Exception, place: str) -> PynencError:
    """Return the error to raise instead of `error`, which came from the server at `place`."""
    text = str(error)
    ours = _OURS.search(text)
    if ours is not None:
        return _own(ours[1], ours[2], place)
    refused = (exceptions.AuthenticationError, exceptions.NoPermissionError)
    if isinstance(error, refused) or any(word in text for word in _RIGHTS):
        return ConfigurationError(
            f"the server {place} refused the user: check user and password of the URL. An ACL user needs "
            "`~{app}:* &* +@all -@dangerous +info +client|setinfo` for its app, and `+config|get` for doctor "
            f"({_first_word(text)})"
        )
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM" in text:
        return StoreFull(
            f"the server {place} is out of memory (maxmemory). Nothing of this operation was written and nothing was "
            "lost; raise maxmemory, shorten the retention of results, or purge, and try again."
        )
    if "MISCONF" in text:
        return StoreFull(
            f"the server {place} cannot write its append-only file or snapshot, so it refuses writes: look at its log "
            "and its disk. Nothing of this operation was written and nothing was lost."
        )
    if "READONLY" in text:
        return StoreReadOnly(
            f"the server {place} is a replica and cannot be written; name the master, or use redis+sentinel://."
        )
    if "WRONGTYPE" in text:
        return StoreCorrupted(
            f"a key of this app on {place} has another type than Pynenc gave it: some other program writes under the "
            "same prefix. Give the app another app_id or the option namespace, or remove the foreign key; "
            "`pynenc doctor` names it."
        )
    if is_lost_connection(error) or is_refused_for_now(error):
        return StoreUnavailable(f"the server {place} cannot be reached or does not answer: {_first_line(text)}")
    return StoreError(f"the server {place} failed: {type(error).__name__}: {_first_line(text)}")


def _own(code: str, detail: str, place: str) -> PynencError:
    if code == "SESSION_GONE":
        return SessionGone(f"session {detail} has ended; what it owned belongs to others now")
    if code == "NEWER_SCHEMA":
        return SchemaTooNew(
            f"the store on {place} has schema {detail}, written by a newer release of Pynenc; upgrade this process, "
            "or give the app another namespace"
        )
    if code == "SEALED":
        return refusal(detail, place)
    if code == "GATED":
        return GatesInUse(f"the store on {place} has gates")
    if code == "OVERTAKEN":
        return overtaken(place)
    return StoreError(f"the store on {place} refused the operation: {code} {detail}")


def _first_word(text: str) -> str:
    return text.split(" ", 1)[0] or "refused"


def _first_line(text: str) -> str:
    return text.splitlines()[0][:200] if text else "connection closed"
