"""Deduplication keys, and C6: the order within one reply."""

from __future__ import annotations

from collections.abc import Iterator

from pynenc.model.records import DedupePhase, Submission
from pynenc.model.status import InvocationStatus
from pynenc.testing.simulation.history import Evidence, Finding
from pynenc.testing.simulation.ledger import Ledger, Life, Mark

_NEVER = 1 << 62


def dedupe(ledger: Ledger) -> Iterator[Finding]:
    """At most one holds a key at a time, and whoever is refused is told of the holder."""
    holders: dict[bytes, list[Life]] = {}
    created = [life for life in ledger.lives.values() if life.created is not None and life.created.what.dedupe]
    for life in sorted(created, key=_birth):
        mark = _created(life)
        earlier = holders.setdefault(mark.what.dedupe.key, [])
        for other in earlier:
            if _released_us(other) > mark.at_us:
                yield Finding("dedupe", mark.what.invocation_id, "took a key that another one held")
        earlier.append(life)
    for mark in ledger.deduped:
        item, holder = mark.what
        life = ledger.lives[holder]
        if life.created is None or life.created.what.dedupe is None or life.created.what.dedupe.key != item.dedupe.key:
            yield Finding("dedupe", item.invocation_id, f"was refused for {holder.hex()} that never had its key")
        elif _released_us(life) < mark.at_us:
            yield Finding("dedupe", item.invocation_id, f"was refused for {holder.hex()} that had given up the key")


def _birth(life: Life) -> tuple[int, bytes]:
    mark = _created(life)
    return mark.index, mark.what.invocation_id


def _created(life: Life) -> Mark:
    assert life.created is not None
    return life.created


def _released_us(life: Life) -> int:
    """Return when its key became free."""
    phase = _created(life).what.dedupe.phase
    ended_us = life.outcome.ended_at_us if life.outcome is not None else _NEVER
    if phase is DedupePhase.UNTIL_PURGED:
        return _NEVER
    if phase is DedupePhase.UNTIL_FINAL:
        return ended_us
    if phase is DedupePhase.UNTIL_CLAIMED:
        return min(ended_us, life.claims[0].at_us if life.claims else _NEVER)
    good = life.outcome is not None and life.outcome.status is InvocationStatus.SUCCESS
    return _NEVER if good else ended_us


def order(evidence: Evidence) -> Iterator[Finding]:
    """C6: claims of one reply come by rank, then id; none comes from a paused queue.

    What is gated comes as its gates let it in.
    """
    gated = {item.invocation_id for item in _submitted(evidence) if item.gates or item.flow is not None}
    paused: set[str] = set()
    for record in evidence.history.applied:
        if record.error is not None:
            continue
        if record.operation == "pause":
            paused.add(record.arguments[0])
        elif record.operation == "resume":
            paused.discard(record.arguments[0])
        elif record.operation == "exchange":
            keys = [
                (claim.rank, claim.invocation_id) for claim in record.reply.claims if claim.invocation_id not in gated
            ]
            if keys != sorted(keys):
                yield Finding("C6", None, f"{record.who} got claims out of order")
            for claim in record.reply.claims:
                if claim.queue in paused:
                    yield Finding("C6", claim.invocation_id, "was claimed from a paused queue")


def _submitted(evidence: Evidence) -> Iterator[Submission]:
    for record in evidence.history.applied:
        if record.operation == "submit":
            yield from record.arguments[0]
