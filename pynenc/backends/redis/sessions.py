"""Sessions as the scripts keep them."""

from __future__ import annotations

from typing import Any

import msgspec

from pynenc.backends.redis.codec import pack
from pynenc.model.ids import SessionId
from pynenc.model.records import SessionInfo, SessionKind, SessionRow


def opening_fields(info: SessionInfo, lease_us: int) -> bytes:
    """Return what `open_session.lua` reads."""
    is_runner = info.kind is SessionKind.RUNNER
    return pack((msgspec.msgpack.encode(info), lease_us, info.doorbell, is_runner, info.queues))


def row_of(fields: list[Any]) -> SessionRow:
    """Return a session from its row."""
    number, info, opened, expires, ended, owned, running = fields
    return SessionRow(
        session=SessionId(number),
        info=msgspec.msgpack.decode(info, type=SessionInfo),
        opened_at_us=opened,
        expires_at_us=expires,
        ended_at_us=None if ended is False else ended,
        owned=owned,
        running=running,
    )
