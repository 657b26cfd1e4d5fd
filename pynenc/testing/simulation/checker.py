"""The history checker: one implementation for simulations, random traces and real faults.

The names are those of ENGINE 7.2: C1 nothing lost, C2 one outcome, C3 fencing, C4 one owner at a time, C5 limits and
rates, C6 order of one reply and of ordering keys, C7 no claimable work passed over, C8 waits, C9 timers, C11 structure,
C12 counted attempts, C13 waiting bodies: no more of them than may, and what they wait for goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from pynenc.testing.simulation.checks import fences, gates, outcomes, reservations, timers, waits
from pynenc.testing.simulation.checks.structure import structure
from pynenc.testing.simulation.history import Evidence, Finding
from pynenc.testing.simulation.ledger import Ledger
from pynenc.testing.simulation.probes import broken_structure


def check(evidence: Evidence) -> list[Finding]:
    """Return everything that is wrong; nothing, if all promises were kept."""
    return list(_all(evidence))


def _all(evidence: Evidence) -> Iterator[Finding]:
    ledger = Ledger(evidence)
    yield from evidence.findings
    yield from broken_structure(evidence.violations)
    yield from structure(evidence.dump)
    yield from outcomes.nothing_lost(evidence, ledger)
    yield from outcomes.explained(ledger)
    yield from outcomes.shown_as_stored(evidence, ledger)
    yield from fences.executions(evidence)
    if evidence.history.complete:
        yield from outcomes.completed_once(ledger)
        yield from fences.kept(evidence, ledger)
        yield from fences.fenced(ledger)
        yield from fences.one_owner_at_a_time(ledger)
        yield from fences.counted(ledger)
        yield from waits.waits(ledger)
        yield from waits.dependencies(ledger)
        yield from waits.notices(ledger)
        yield from timers.not_early(ledger)
        yield from timers.leases(ledger)
        yield from reservations.dedupe(ledger)
        yield from reservations.order(evidence)
        yield from gates.limits(evidence, ledger)
        yield from gates.rates(evidence, ledger)
        yield from gates.ordering(ledger)
