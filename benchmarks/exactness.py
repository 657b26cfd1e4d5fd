"""How exact order and limits are: shares of tenants, and rates.

    python -m benchmarks.exactness sqlite redis postgresql

Only public ports are used. Work is claimed ten at a time and completed at once.

- *Shares*: three tenants of equal weight with 1, 10 and 100 thousand queued. Told is how far the share of any tenant is
  from an equal one at most, in any window of 1,000 starts in which the same tenants had work throughout.
- *Rates*: starts within 10 s over those that the rate allows, and the most starts in any window of time over what rate
  and burst allow in it. The instants are the store's own.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.alone.places import NAMES, fresh_backend
from pynenc.io import run
from pynenc.model.gates import Flow, RateGate
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend

_AT_ONCE = 10
_SUBMITTED_AT_ONCE = 1_000
_LEASE_US = 3_600_000_000
_QUEUED = {"small": 1_000, "middle": 10_000, "large": 100_000}
_STARTS = 9_000
"""Three thousand until the small tenant has nothing left, then some of the others."""
_WINDOW = 1_000
_RATES = ((20, 1), (20, 2), (200, 20))
"""Per second, and burst. Without a burst what comes late is not made up for."""
_SECONDS = 10.0


class Served:
    """One queue, and a session that serves it.

    Args:
        backend: emptied first.
    """

    def __init__(self, backend: Backend) -> None:
        run(backend.state_backend.purge())
        self._orchestrator = backend.orchestrator
        info = SessionInfo(kind=SessionKind.RUNNER, name="exactness", host="", pid=0)
        self._session = run(self._orchestrator.open_session(info, lease_us=_LEASE_US))
        self._done: tuple[Success, ...] = ()

    def submit(self, items: Sequence[Submission]) -> None:
        """Submit in batches."""
        for first in range(0, len(items), _SUBMITTED_AT_ONCE):
            run(self._orchestrator.submit(items[first : first + _SUBMITTED_AT_ONCE]))

    def starts(self) -> Iterator[list[InvocationId]]:
        """Complete what was claimed last and claim again, for ever."""
        while True:
            request = Exchange(session=self._session, completions=self._done, want=_AT_ONCE)
            claims = run(self._orchestrator.exchange(request)).claims
            self._done = tuple([Success(invocation_id=c.invocation_id, epoch=c.epoch, result=b"") for c in claims])
            yield [claim.invocation_id for claim in claims]


def shares(backend: Backend) -> Iterator[str]:
    """Tell how far shares are from equal ones."""
    served = Served(backend)
    tenants: dict[InvocationId, str] = {}
    for name, number in _QUEUED.items():
        items = [_submission(flow=Flow(key=name)) for _ in range(number)]
        tenants.update((item.invocation_id, name) for item in items)
        served.submit(items)
    order: list[str] = []
    for ids in served.starts():
        order += [tenants[each] for each in ids]
        if len(order) >= _STARTS:
            break
    over = len(order) - order[::-1].index("small")
    for phase, sharing in ((order[:over], 3), (order[over:], 2)):
        worst = max(_off(window, sharing) for window in _windows(phase))
        yield f"{sharing} tenants with work: furthest from an equal share in any {_WINDOW:,} starts {100 * worst:.1f} %"


def _windows(order: list[str]) -> Iterator[Counter[str]]:
    window = Counter(order[:_WINDOW])
    yield Counter(window)
    for leaves, comes in zip(order, order[_WINDOW:], strict=False):
        window[leaves] -= 1
        window[comes] += 1
        yield Counter(window)


def _off(window: Counter[str], sharing: int) -> float:
    """Return how far the worst share is from an equal one, as a part of that."""
    equal = _WINDOW / sharing
    starts = [number for number in window.values() if number]
    return max(abs(number - equal) / equal for number in starts) if len(starts) == sharing else 1.0


def rates(backend: Backend) -> Iterator[str]:
    """Tell how exactly rates are kept."""
    for per_second, burst in _RATES:
        interval_us = 1_000_000 // per_second
        gate = RateGate(key="rate", interval_us=interval_us, burst=burst)
        served = Served(backend)
        served.submit([_submission(gates=(gate,)) for _ in range(int(per_second * _SECONDS * 1.3))])
        ids = _claimed_within(served, _SECONDS + 1.0)
        outcomes = [outcome for outcome in run(backend.state_backend.outcomes(ids)) if outcome is not None]
        instants = sorted(each.claimed_at_us for each in outcomes if each.claimed_at_us is not None)
        got = sum(each < instants[0] + _SECONDS * 1e6 for each in instants)
        allowed = per_second * _SECONDS + burst
        yield (
            f"{per_second}/s, burst {burst}: {got:,} starts in {_SECONDS:g} s, {100 * got / allowed:.1f} % of those "
            f"allowed; in the worst window {_excess(instants, interval_us, burst)} more than allowed"
        )


def _claimed_within(served: Served, seconds: float) -> list[InvocationId]:
    ids: list[InvocationId] = []
    ends = time.monotonic() + seconds
    for claimed in served.starts():
        ids += claimed
        if time.monotonic() > ends:
            return ids
    return ids


def _excess(instants: list[int], interval_us: int, burst: int) -> int:
    """Return how many more starts than allowed there were in the worst window.

    A bucket that leaks at the rate overflows its `burst` exactly if some window has too many.
    """
    level, last, worst = 0.0, instants[0], 0.0
    for each in instants:
        level = max(0.0, level - (each - last) / interval_us) + 1
        last = each
        worst = max(worst, level - burst)
    return max(0, round(worst))


def _submission(flow: Flow | None = None, gates: tuple[RateGate, ...] = ()) -> Submission:
    return Submission(invocation_id=new_invocation_id(), task_id="bench", arguments=b"", flow=flow, gates=gates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", choices=NAMES)
    for store in parser.parse_args().stores:
        with fresh_backend(store) as (_, backend):
            for line in (*shares(backend), *rates(backend)):
                print(f"{NAMES[store]}: {line}", flush=True)


if __name__ == "__main__":
    main()
