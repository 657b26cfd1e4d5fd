"""The structural invariants, checked a part at a time so that others get their turn."""

from __future__ import annotations

from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.codec import pack, unpack
from pynenc.io import Op
from pynenc.model.ids import InvocationId
from pynenc.model.records import Violation

_BUDGET = 500


def verify(caller: Caller, *, repair: bool) -> Op[list[Violation]]:
    """Return every broken invariant; with `repair` indexes follow the records afterwards."""
    found: list[Violation] = []
    for part in ("records", "indexes"):
        cursor = b""
        while True:
            reply = yield from caller.call("verify", pack((part, cursor, _BUDGET, repair)))
            cursor, violations = unpack(reply)
            found.extend(
                Violation(invariant.decode(), InvocationId(each) if each else None, detail.decode(errors="replace"))
                for invariant, each, detail in violations
            )
            if not cursor:
                break
    if repair and found:
        yield from _rebuild_gates(caller)
    return found


def _rebuild_gates(caller: Caller) -> Op[None]:
    for part in ("empty", "enter", "end"):
        cursor = b""
        while True:
            cursor = yield from caller.call("rebuild_gates", pack((part, cursor, _BUDGET)))
            if not cursor:
                break
