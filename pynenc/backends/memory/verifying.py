"""The structural invariants I1-I8, checked against the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pynenc.backends.memory.gate_verifying import gate_violations, rebuild_units
from pynenc.backends.memory.state import MemoryState, Record, TokenIndex
from pynenc.model.records import Violation
from pynenc.model.status import State


def verify(state: MemoryState, now_us: int) -> list[Violation]:
    """Return every broken invariant."""
    return [
        *_tokens(state),
        *_ownership(state),
        *_ends(state),
        *gate_violations(state, now_us),
        *_waits(state),
        *_timers(state),
        *_epochs(state),
    ]


def repair(state: MemoryState, now_us: int) -> None:
    """Rebuild what follows from the records."""
    for record in state.records.values():
        if record.owner is not None and record.owner in state.sessions:
            state.sessions[record.owner].owned.add(record.id)
    for session in state.sessions.values():
        session.owned = {each for each in session.owned if _owns(state, session.number, each)}
    state.ready.clear()
    state.resumable.clear()
    state.due.clear()
    state.waiters.clear()
    rebuild_units(state, now_us)
    for record in state.records.values():
        record.edges = {each for each in record.edges if each in state.records}
        for waited in record.edges:
            state.waiters.setdefault(waited, set()).add(record.id)
        state.index(record, now_us)


def _owns(state: MemoryState, number: int, invocation_id: bytes) -> bool:
    record = state.records.get(invocation_id)  # type: ignore[call-overload]  # a plain key
    return record is not None and record.owner == number


def _tokens(state: MemoryState) -> Iterator[Violation]:
    """I1: READY exactly if in exactly one index; entries that no longer hold do not count. Gated ones apart."""
    found: Counter[bytes] = Counter()
    for index in state.ready.values():
        found.update(_valid(state, index, None))
    for session, index in state.resumable.items():
        found.update(_valid(state, index, session))
    for record in state.records.values():
        if record.gated and record.state is State.READY:
            continue
        if (record.state is State.READY) != (found[record.id] == 1):
            detail = f"{record.state.name} with {found[record.id]} tokens"
            yield Violation("I1", record.id, detail)


def _valid(state: MemoryState, index: TokenIndex, owner: int | None) -> set[bytes]:
    valid: set[bytes] = set()
    for rank, invocation_id in index:
        record = state.records.get(invocation_id)
        if record and record.state is State.READY and record.owner == owner and record.rank == rank:
            valid.add(invocation_id)
    return valid


def _ownership(state: MemoryState) -> Iterator[Violation]:
    """I2: an owner exactly if in the owner's set, and the session lives."""
    for record in state.records.values():
        session = state.sessions.get(record.owner) if record.owner is not None else None
        if record.owner is not None and (
            session is None or session.ended_at_us is not None or record.id not in session.owned
        ):
            yield Violation("I2", record.id, f"owner {record.owner} has ended or does not list it")
        if record.state in (State.OWNED, State.SUSPENDED) and record.owner is None:
            yield Violation("I2", record.id, f"{record.state.name} without an owner")
        if record.state is State.BLOCKED and record.owner is not None:
            yield Violation("I2", record.id, f"BLOCKED, but owned by {record.owner}")
    for session in state.sessions.values():
        for invocation_id in session.owned:
            if not _owns(state, session.number, invocation_id):
                yield Violation("I2", invocation_id, f"session {session.number} lists what it does not own")


def _ends(state: MemoryState) -> Iterator[Violation]:
    """I3: an outcome exactly if there is no control record."""
    for invocation_id in state.calls:
        if (invocation_id in state.records) == (invocation_id in state.outcomes):
            yield Violation("I3", invocation_id, "control record and outcome: both or neither")
    for invocation_id in state.records.keys() | state.outcomes.keys():
        if invocation_id not in state.calls:
            yield Violation("I3", invocation_id, "a record without its call")


def _waits(state: MemoryState) -> Iterator[Violation]:
    """I6: what is left to wait for is there, and both directions agree."""
    for record in state.records.values():
        yield from _waits_of(state, record)
    for waited, waiters in state.waiters.items():
        for waiter in waiters:
            if waiter not in state.records or waited not in state.records[waiter].edges:
                yield Violation("I6", waiter, "listed as waiting, but waits not")


def _waits_of(state: MemoryState, record: Record) -> Iterator[Violation]:
    waiting = record.state in (State.BLOCKED, State.SUSPENDED) and record.need_left > 0
    if not waiting and (record.edges or record.need_left):
        yield Violation("I6", record.id, f"{record.state.name} with {len(record.edges)} edges")
    if waiting and not 0 < record.need_left <= len(record.edges):
        yield Violation("I6", record.id, f"needs {record.need_left} of {len(record.edges)}")
    if record.state is State.SUSPENDED and not waiting:
        yield Violation("I6", record.id, "SUSPENDED without anything to wait for")
    for waited in record.edges:
        if waited not in state.records or record.id not in state.waiters.get(waited, ()):
            yield Violation("I6", record.id, "waits for something that is final or does not know")


def _timers(state: MemoryState) -> Iterator[Violation]:
    """I7: whatever is due has its timer."""
    entries = {(due, invocation_id) for due, invocation_id in state.due}
    for record in state.records.values():
        if record.due_us is not None and (record.due_us, record.id) not in entries:
            yield Violation("I7", record.id, f"due at {record.due_us} without a timer")
        if record.state is State.BLOCKED and record.need_left == 0 and record.not_before_us is None:
            yield Violation("I7", record.id, "BLOCKED with nothing to wait for")


def _epochs(state: MemoryState) -> Iterator[Violation]:
    """I8: epochs grow; counts follow from them."""
    for record in state.records.values():
        if not 0 <= record.attempt <= record.epoch:
            yield Violation("I8", record.id, f"attempt {record.attempt} at epoch {record.epoch}")
        rows = state.attempts.get(record.id, ())
        if any(row.epoch > record.epoch for row in rows):
            yield Violation("I8", record.id, "an attempt of a later epoch")
