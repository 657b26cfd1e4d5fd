"""Bodies of which one ended a worker: which of them run together when they are claimed again.

They are halved each time another worker ends: whoever is alone with the end of its worker is the culprit. One culprit
among n bodies leads to about log2(n) groups. What is known here is known to this runner only; another one begins anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from pynenc.model.ids import InvocationId
from pynenc.model.records import Claim

_MOST_KNOWN = 10_000
_SUSPICIOUS_CRASHES = 2
"""What took down so many workers, here or elsewhere, is suspected from the start."""


class Suspects:
    """Who runs apart, and with whom.

    Args:
        alone: whether workers run one body at a time: a known culprit has no neighbours then.
    """

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._groups: dict[InvocationId, int] = {}
        self._numbers = itertools.count(1)

    def divide(self, ids: Sequence[InvocationId]) -> None:
        """Note that one of these ended a worker: each half of them runs by itself from now on."""
        middle = (len(ids) + 1) // 2
        for half in (ids[:middle], ids[middle:]):
            self._note(half)

    def convict(self, invocation_id: InvocationId) -> None:
        """Note that this one ended a worker: it runs alone should it come back."""
        if not self._alone:
            self._note([invocation_id])

    def clear(self, invocation_id: InvocationId) -> None:
        """Note that its body ended in peace."""
        if self._groups:
            self._groups.pop(invocation_id, None)

    def group_of(self, claim: Claim) -> int | None:
        """Return the number of the group in which it runs apart; 0 for those known from elsewhere; None: with all."""
        if claim.crashes == 0 and not self._groups:
            return None
        elsewhere = 0 if claim.crashes >= _SUSPICIOUS_CRASHES and not self._alone else None
        return self._groups.get(claim.invocation_id, elsewhere)

    def _note(self, ids: Iterable[InvocationId]) -> None:
        number = next(self._numbers)
        for invocation_id in ids:
            self._groups.pop(invocation_id, None)
            self._groups[invocation_id] = number
        while len(self._groups) > _MOST_KNOWN:
            del self._groups[next(iter(self._groups))]
