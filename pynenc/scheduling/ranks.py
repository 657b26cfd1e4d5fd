"""Ranks: what every scheduler computes with."""

from __future__ import annotations

from pynenc.errors import ConfigurationError
from pynenc.model.ranks import BAND_UNIT, before
from pynenc.model.records import NEWEST_FIRST
from pynenc.ports.scheduler import Rank, RankContext, Scheduler

LARGEST_KEY = BAND_UNIT - 1
MIDDLE_BAND = 128
_EPOCH_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z: milliseconds since then fit into a key until the year 2577."""


def instant_key(instant_us: int) -> int:
    """Return the key of an instant (microseconds since the Unix epoch): earlier ones are lower."""
    return min(max(instant_us // 1_000 - _EPOCH_MS, 0), LARGEST_KEY)


def before_parent(own: Rank, context: RankContext) -> Rank:
    """Return the lower one of `own` and the place just before the invocation that submits; outside a run `own`.

    What was begun is finished before anything new is begun, so the number of bodies that wait for others is bounded by
    the depth of the trees, not by their number.
    """
    if context.parent_rank is None:
        return own
    band, key = divmod(before(context.parent_rank), BAND_UNIT)
    if own.band != band:
        return own if own.band < band else Rank(band, key)
    return own if own.key is not None and NEWEST_FIRST < own.key < key else Rank(band, key)


def checked_rank(scheduler: Scheduler, context: RankContext) -> Rank:
    """Return the rank that `scheduler` gives.

    Raises:
        ConfigurationError: it is none.
    """
    rank = scheduler.rank(context)
    if type(rank) is Rank and type(rank.band) is int and 0 <= rank.band <= 255:
        key = rank.key
        if key is None or (type(key) is int and NEWEST_FIRST <= key <= LARGEST_KEY):
            return rank
    raise ConfigurationError(
        f"scheduler {scheduler.name!r} gave {context.task_id} the rank {rank!r}; it has to be a "
        f"pynenc.scheduling.Rank with a band from 0 to 255 and a key that is None, NEWEST_FIRST, or from 0 to 2**44-1"
    )
