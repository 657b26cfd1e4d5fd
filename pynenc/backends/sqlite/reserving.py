"""Deduplication keys: who holds one, and what a submission that meets a holder does to it."""

from __future__ import annotations

from pynenc.backends.sqlite.gate_rows import HeldKey
from pynenc.backends.sqlite.rows import BLOCKED, GATED, READY
from pynenc.backends.sqlite.unit import Unit
from pynenc.model.ids import InvocationId
from pynenc.model.records import Dedupe, DedupeMode, DedupePhase, Submission, SubmitVerdict
from pynenc.model.status import Reason

_HOLDER = (
    "SELECT d.id, d.phase, d.arguments, d.window, c.created_at FROM dedupe d JOIN call c ON c.id = d.id WHERE d.key = ?"
)


def take_key(unit: Unit, invocation_id: InvocationId, dedupe: Dedupe) -> None:
    """Let an invocation hold a key that is free, or whose window is over."""
    unit.connection.execute(
        "INSERT OR REPLACE INTO dedupe (key, id, phase, mode, arguments, window) VALUES (?,?,?,?,?,?)",
        (
            *(dedupe.key, invocation_id, int(dedupe.phase)),
            *(int(dedupe.mode), dedupe.arguments_hash, dedupe.window_us),
        ),
    )


def holder_of(unit: Unit, key: bytes) -> HeldKey | None:
    """Return who holds a key; a key whose window is over is held by nobody."""
    row = unit.connection.execute(_HOLDER, (key,)).fetchone()
    if row is None:
        return None
    holder, phase, arguments, window, created_at = row
    if phase == DedupePhase.FOR_A_WHILE and unit.now >= created_at + window:
        return None
    return HeldKey(holder, arguments)


def held(unit: Unit, holder: HeldKey, item: Submission, wish: Dedupe) -> SubmitVerdict:
    """Return what becomes of an item whose key is held."""
    if wish.mode is DedupeMode.RAISE:
        return SubmitVerdict.DEDUPED if holder.arguments == wish.arguments_hash else SubmitVerdict.DIFFERENT
    if wish.mode is DedupeMode.DEBOUNCE and _debounce(unit, holder.id, item):
        return SubmitVerdict.DEBOUNCED
    return SubmitVerdict.DEDUPED


def _debounce(unit: Unit, holder: InvocationId, item: Submission) -> bool:
    """Let the holder of a key take the arguments and the delay of `item`, unless it was claimed already."""
    live = unit.live(holder)
    if live is None or live.epoch > 0:
        return False
    unit.connection.execute("UPDATE call SET arguments = ? WHERE id = ?", (item.arguments, holder))
    delay = item.delay_from(unit.now)
    due = unit.now + delay if delay > 0 else None
    if live.need_left:
        live.not_before = due
        unit.changed(live)
        return True
    if due is None and live.state == READY:
        return True
    if live.flags & GATED:
        unit.gating.withdraw(live)
    live.not_before = due
    live.state = READY if due is None else BLOCKED
    live.reason = int(Reason.NEW if due is None else Reason.DELAYED)
    unit.placed(live)
    return True
