"""Identities: who and what the engine speaks of.

An invocation is 16 bytes chosen by the client (a UUID, version 7 or 8); people see its text form. A session
is a number the store hands out once. The types keep one from being passed for the other.
"""

from __future__ import annotations

import os
import threading
import time
from hashlib import blake2b
from typing import NewType

InvocationId = NewType("InvocationId", bytes)
SessionId = NewType("SessionId", int)
Epoch = NewType("Epoch", int)

_lock = threading.Lock()
_last = 0


def new_invocation_id() -> InvocationId:
    """Return a UUID version 7 (RFC 9562): ordered by creation, strictly within one process.

    48 bits of Unix milliseconds, 12 bits of the sub-millisecond fraction (method 3 of section 6.2), and
    62 random bits.
    """
    global _last
    now = time.time_ns()
    # 1 ms in 4096 steps: 244 ns each, less than the creation of an id takes.
    stamp = (now // 1_000_000) << 12 | (now % 1_000_000 << 12) // 1_000_000
    with _lock:
        stamp = _last = max(stamp, _last + 1)
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    value = (stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | random
    return InvocationId(value.to_bytes(16, "big"))


def child_invocation_id(parent: InvocationId, attempt: int, call_key: bytes, occurrence: int) -> InvocationId:
    """Return the id of the `occurrence`-th submission of one call by one attempt of `parent`.

    A UUID version 8 that depends on nothing else: an attempt that runs again after a crash finds the children
    of its first run instead of starting them twice. It keeps the parent's time prefix.
    """
    digest = blake2b(
        b"%d/%d/" % (attempt, occurrence) + parent + call_key, digest_size=10, person=b"pynenc-child"
    ).digest()
    value = bytearray(parent[:6] + digest)
    value[6] = 0x80 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return InvocationId(bytes(value))


def id_text(invocation_id: InvocationId) -> str:
    """Return the canonical text of an id: `0192f0c1-…`, 36 characters."""
    h = invocation_id.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def parse_id(text: str) -> InvocationId:
    """Return the id that `text` names, with or without hyphens.

    Raises:
        ValueError: `text` is not 32 hexadecimal digits.
    """
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise ValueError(f"{text!r} is not an invocation id (32 hexadecimal digits)")
    return InvocationId(raw)
