"""C11: the structural invariants, computed from a dump without the help of the store's own verifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pynenc.model.ids import InvocationId
from pynenc.model.status import State
from pynenc.testing.simulation.history import Finding


def structure(dump: dict[str, Any]) -> Iterator[Finding]:
    """I2, I3, I6, I7 and I8; I1 shows in C7, and I4 and I5 need gates."""
    for invariant, text_id, detail in (*_ends(dump), *_owners(dump), *_waits(dump), *_counts(dump), *_keys(dump)):
        yield Finding(f"C11 {invariant}", InvocationId(bytes.fromhex(text_id)) if text_id else None, detail)


def _ends(dump: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    controls, outcomes = dump["controls"].keys(), dump["outcomes"].keys()
    for each in controls & outcomes:
        yield "I3", each, "has a control record and an outcome"
    for each in (controls | outcomes) ^ dump["calls"].keys():
        yield "I3", each, "call without a record, or a record without its call"


def _owners(dump: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    owned: Counter[str] = Counter()
    running: Counter[str] = Counter()
    for each, control in dump["controls"].items():
        state, owner = State(control["state"]), control["owner"]
        held = state in (State.OWNED, State.SUSPENDED)
        if state is not State.READY and held == (owner is None):
            yield "I2", each, f"{state.name} with the owner {owner}"
        if owner is None:
            continue
        owned[str(owner)] += 1
        running[str(owner)] += state is State.OWNED
        session = dump["sessions"].get(str(owner))
        if session is None or session["ended_at_us"] is not None:
            yield "I2", each, f"its owner {owner} has ended"
    for number, session in dump["sessions"].items():
        if (session["owned"], session["running"]) != (owned[number], running[number]):
            yield "I2", "", f"session {number} counts {session['owned']} owned, {session['running']} running"


def _waits(dump: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for each, control in dump["controls"].items():
        edges = dump["waits"].get(each, [])
        waiting = State(control["state"]) in (State.BLOCKED, State.SUSPENDED) and control["need_left"] > 0
        if waiting != bool(edges) or control["need_left"] > len(edges):
            yield "I6", each, f"needs {control['need_left']} of {len(edges)} that are not final"
        if State(control["state"]) is State.BLOCKED and not waiting and control["not_before_us"] is None:
            yield "I7", each, "BLOCKED, but waits for nothing"
    for waiter, waited in dump["waits"].items():
        if waiter not in dump["controls"] or any(each not in dump["controls"] for each in waited):
            yield "I6", waiter, "an edge from or to something that is not live"


def _counts(dump: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for each, control in dump["controls"].items():
        if not 0 <= control["attempt"] <= control["epoch"]:
            yield "I8", each, f"attempt {control['attempt']} at epoch {control['epoch']}"
    for each, rows in dump["attempts"].items():
        epochs = [row["epoch"] for row in rows]
        if epochs != sorted(epochs):
            yield "I8", each, f"attempts went back from a later epoch: {epochs}"


def _keys(dump: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key, holder in dump["dedupe"].items():
        if holder not in dump["calls"]:
            yield "I7", holder, f"holds the key {key}, but is not known"
    for number, ids in dump["watches"].items():
        session = dump["sessions"].get(number)
        if session is None or session["ended_at_us"] is not None or not set(ids) <= dump["controls"].keys():
            yield "I7", "", f"session {number} watches what has ended, or has ended itself"
