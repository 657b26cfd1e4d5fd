"""Paused queues as the scripts keep them: by queue, who, why and when."""

from __future__ import annotations

from pynenc.backends.redis.codec import pack, unpack
from pynenc.model.records import Pause


def pause_of(queue: bytes, fields: bytes | bool) -> Pause | None:
    """Return what is known of a queue that is paused; None if it is not."""
    return carried_pause(queue, fields) if isinstance(fields, bytes) else None


def carried_pause(queue: bytes, fields: bytes) -> Pause:
    """Return what is known of a queue that is paused."""
    by, reason, at_us = unpack(fields)
    return Pause(queue=queue.decode(), by=by.decode(), reason=reason.decode(), at_us=at_us)


def pause_fields(pause: Pause) -> bytes:
    """Return what is kept of it."""
    return pack((pause.by, pause.reason, pause.at_us))
