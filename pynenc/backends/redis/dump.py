"""The whole state in canonical form; see the memory store's `dump`."""

from __future__ import annotations

from typing import Any

from pynenc.backends.canonical import plain, session_fields, without_id
from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.codec import FINAL_KEY, KEY, control_fields, message_of, pack, snapshot_of, unpack
from pynenc.backends.redis.gate_dump import dump_gates
from pynenc.backends.redis.gates import pairs_of
from pynenc.backends.redis.pauses import carried_pause
from pynenc.backends.redis.sessions import row_of
from pynenc.io import Op
from pynenc.model.ids import InvocationId

_CHUNK = 500


def dump(caller: Caller) -> Op[dict[str, Any]]:
    """Return the canonical form, gathered a part at a time: exact while nobody writes."""
    state: dict[str, Any] = {name: {} for name in ("calls", "controls", "outcomes", "attempts", "waits", "dedupe")}
    state["progress"] = {}
    cursor, more = b"", True
    while more:
        rows = yield from caller.read("dump", pack((cursor, _CHUNK)))
        for row in rows:
            _add(state, row)
        cursor, more = rows[-1][0] if rows else b"", len(rows) == _CHUNK
    state["dedupe"] = dict(sorted(state["dedupe"].items()))
    sessions = yield from caller.read("list_sessions", 0)
    state["sessions"] = {str(row[0]): session_fields(row_of(row)) for row in sessions}
    live, paused = yield from caller.read("dump_sessions")
    state["inbox"] = {str(number): [plain(message_of(each)) for each in inbox] for number, inbox, _ in live if inbox}
    state["watches"] = {str(number): [each.hex() for each in watched] for number, _, watched in live if watched}
    state["paused"] = [plain(carried_pause(*each)) for each in sorted(pairs_of(paused))]
    gates = yield from dump_gates(caller, [bytes.fromhex(each) for each in state["controls"]])
    return {**state, "gates": gates} if gates else state


def _add(state: dict[str, Any], row: list[Any]) -> None:
    invocation_id, known, edges, terms, _ = row
    snapshot = snapshot_of(InvocationId(invocation_id), known)
    if snapshot is None:
        return
    name = invocation_id.hex()
    state["calls"][name] = without_id(snapshot.call)
    if snapshot.control is not None:
        state["controls"][name] = plain(snapshot.control)
    if snapshot.outcome is not None:
        state["outcomes"][name] = without_id(snapshot.outcome)
    if snapshot.attempts:
        state["attempts"][name] = [plain(each) for each in snapshot.attempts]
    if snapshot.progress:
        state["progress"][name] = snapshot.progress.hex()
    if edges:
        state["waits"][name] = [each.hex() for each in edges]
    if terms is not False:
        state["dedupe"][_key_of(known).hex()] = name


def _key_of(known: list[Any]) -> bytes:
    """Return the deduplication key in a live or a final record."""
    _, live, final, *_ = known
    key: bytes = control_fields(live)[KEY] if live is not False else unpack(final)[FINAL_KEY]
    return key
